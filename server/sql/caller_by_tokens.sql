-- Whom tokens stand for, many at once: the number of each that somebody holds, with a project and what may be done
-- there, or with a user. Notes their use, at most every five minutes; two servers that note the same do not wait.
with asked as materialized (
    select t.n, t.token_hash from unnest(:token_hashes::bytea[]) with ordinality t (token_hash, n)
), project as materialized (
    select a.n, k.id, k.project_id, k.access, k.last_used
      from asked a
      join project_tokens k on k.token_hash = a.token_hash
      join live_projects p on p.id = k.project_id
     where k.revoked_at is null
), person as materialized (
    select a.n, k.id, k.user_id, k.last_used
      from asked a
      join user_tokens k on k.token_hash = a.token_hash
      join users u on u.id = k.user_id
     where k.revoked_at is null and (k.expires_at is null or k.expires_at > now()) and u.is_active
), project_used as (
    update project_tokens set last_used = now()
     where id in (select k.id from project_tokens k
                   where k.id in (select p.id from project p
                                   where p.last_used is null or p.last_used < now() - interval '5 minutes')
                     for no key update skip locked)
), person_used as (
    update user_tokens set last_used = now()
     where id in (select k.id from user_tokens k
                   where k.id in (select p.id from person p
                                   where p.last_used is null or p.last_used < now() - interval '5 minutes')
                     for no key update skip locked)
)
select n, project_id, access, null from project
union all
select n, null, null, user_id from person
