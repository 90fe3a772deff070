s.first_timestamp < span.stop and s.last_timestamp >= span.start
