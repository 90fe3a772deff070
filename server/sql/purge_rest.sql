-- What is left once the runs are gone: experiments, tokens, and at last the project itself in purge_end.sql.
with tokens as (
    delete from project_tokens k using projects p
     where p.id = :project_id and p.deleted_at is not null and k.project_id = p.id
), gone as (
    delete from experiments e using projects p
     where p.id = :project_id and p.deleted_at is not null and e.project_id = p.id
    returning 1
)
select count(*) from gone
