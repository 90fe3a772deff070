-- A chunk of the sessions that have expired, of the user tokens that did so a month ago, and of the audit records that are
-- older than they are kept. Answers how many went.
with gone_sessions as (
    delete from sessions
     where token_hash in (select token_hash from sessions where expires_at < now()
                           limit 1000 for update skip locked)
    returning 1
), gone_tokens as (
    delete from user_tokens
     where id in (select id from user_tokens where expires_at < now() - interval '1 month'
                   limit 1000 for update skip locked)
    returning 1
), gone_records as (
    delete from audit_records
     where id in (select id from audit_records where timestamp < now() - :audit_keep::integer * interval '1 day'
                   limit 1000 for update skip locked)
    returning 1
)
select (select count(*) from gone_sessions) + (select count(*) from gone_tokens) + (select count(*) from gone_records)
