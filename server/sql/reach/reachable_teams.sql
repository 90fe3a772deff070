(select x.* from teams x, {who} where {belongs})
