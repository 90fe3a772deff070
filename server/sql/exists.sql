-- Tells 404 from 401 and 403: asked only when a statement found nothing for the caller.
select case :kind
       when 'organization' then exists (select from organizations where id = :id)
       when 'team'         then exists (select from teams where id = :id)
       when 'project'      then exists (select from live_projects where id = :id)
       when 'experiment'   then exists (select from live_experiments where id = :id)
       when 'run'          then exists (select from live_runs where id = :id)
       when 'user'         then exists (select from users where id = :id)
       end
