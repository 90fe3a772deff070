-- For the command line: of all organisations, and of none.
select {audit_record} from {administered_audit_records} a order by a.timestamp, a.id
