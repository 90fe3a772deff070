-- Reads nothing and locks nothing, but needs what an update does: in a session that is read-only it fails.
select from organizations where false for update
