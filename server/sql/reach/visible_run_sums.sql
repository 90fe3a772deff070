(select x.* from live_run_sums x, {who} where {sees})
