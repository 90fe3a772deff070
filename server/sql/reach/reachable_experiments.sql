(select x.* from live_experiments x, {who} where {reaches})
