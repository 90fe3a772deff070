-- Leads past the row `l` of a list that is newest first: api/validate.c reads it.
to_char(l.timestamp at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || '_' || l.id
