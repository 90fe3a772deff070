-- Who asks: a row.
(select (:caller::caller).*) who
