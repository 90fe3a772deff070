(select x.* from audit_records x, {who} where {administers})
