-- A row if there is no user.
select 1 where {nobody_yet}
