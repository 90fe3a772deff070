(select x.* from live_emissions x, {who} where {sees})
