with gone as (
    delete from projects where id = :project_id and deleted_at is not null returning 1
)
select count(*) from gone
