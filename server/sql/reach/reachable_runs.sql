(select x.* from live_runs x, {who} where {reaches})
