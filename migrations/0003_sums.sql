-- What reports are made of, so that their cost does not grow with the number of emissions. Both tables are written by
-- the one statement that stores emissions (server/sql/emission_store.sql or emission_append.sql), from what it really inserted; a report adds up
--
--   run_sums        the totals of the runs that lie wholly in its range,
--   emission_hours  whole hours of the runs that straddle an edge of it, and
--   emissions       the raw rows at the ragged ends of those.
--
-- Nothing is ever subtracted: a deleted project's rows go as a whole. A sum is over the emissions that have the value;
-- where a report gives a mean, the number of those stands beside it.
--
-- Like emissions, they have no foreign key to runs, for the same reason (see 0001_tables.sql). The columns of an update
-- are in no index and the pages keep room, so that updates stay on their page (HOT).
create table run_sums (
    run_id                        uuid primary key,
    first_timestamp               timestamptz not null,
    last_timestamp                timestamptz not null,
    emissions_count               bigint not null,
    emissions_sum                 double precision not null, -- kg CO2eq
    cpu_energy                    double precision not null, -- kWh
    gpu_energy                    double precision not null, -- kWh
    ram_energy                    double precision not null, -- kWh
    energy_consumed               double precision not null, -- kWh
    duration                      double precision not null, -- s
    cpu_power                     double precision not null, -- W, a sum whose mean is wanted, as all that follow
    cpu_power_count               bigint not null,
    gpu_power                     double precision not null,
    gpu_power_count               bigint not null,
    ram_power                     double precision not null,
    ram_power_count               bigint not null,
    emissions_rate                double precision not null, -- kg CO2eq/s
    emissions_rate_count          bigint not null,
    cpu_utilization_percent       double precision not null,
    cpu_utilization_percent_count bigint not null,
    gpu_utilization_percent       double precision not null,
    gpu_utilization_percent_count bigint not null,
    ram_utilization_percent       double precision not null,
    ram_utilization_percent_count bigint not null
) with (fillfactor = 50);

create table emission_hours (
    run_id                        uuid not null,
    hour                          timestamptz not null,      -- its beginning, in UTC
    emissions_count               bigint not null,
    emissions_sum                 double precision not null,
    cpu_energy                    double precision not null,
    gpu_energy                    double precision not null,
    ram_energy                    double precision not null,
    energy_consumed               double precision not null,
    duration                      double precision not null,
    cpu_power                     double precision not null,
    cpu_power_count               bigint not null,
    gpu_power                     double precision not null,
    gpu_power_count               bigint not null,
    ram_power                     double precision not null,
    ram_power_count               bigint not null,
    emissions_rate                double precision not null,
    emissions_rate_count          bigint not null,
    cpu_utilization_percent       double precision not null,
    cpu_utilization_percent_count bigint not null,
    gpu_utilization_percent       double precision not null,
    gpu_utilization_percent_count bigint not null,
    ram_utilization_percent       double precision not null,
    ram_utilization_percent_count bigint not null,
    primary key (run_id, hour)
) with (fillfactor = 70);

-- The hour that a moment is in. Immutable, unlike date_trunc, which looks at the session's time zone. The origin is the first
-- moment that an emission may have: older releases of PostgreSQL misplace full hours before it.
create function hour_of(moment timestamptz) returns timestamptz language sql immutable as $$
    select date_bin('1 hour', moment, '0001-01-01 00:00:00+00')
$$;

-- What the raw rows add up to, by run and hour: what emission_hours holds when all is well.
create view raw_hours as
    select m.run_id, hour_of(m.timestamp)  as hour,
           min(m.timestamp)                as first_timestamp,
           max(m.timestamp)                as last_timestamp,
           count(*)                        as emissions_count,
           coalesce(sum(m.emissions_sum), 0)           as emissions_sum,
           coalesce(sum(m.cpu_energy), 0)              as cpu_energy,
           coalesce(sum(m.gpu_energy), 0)              as gpu_energy,
           coalesce(sum(m.ram_energy), 0)              as ram_energy,
           coalesce(sum(m.energy_consumed), 0)         as energy_consumed,
           sum(m.duration)                             as duration,
           coalesce(sum(m.cpu_power), 0)               as cpu_power,
           count(m.cpu_power)                          as cpu_power_count,
           coalesce(sum(m.gpu_power), 0)               as gpu_power,
           count(m.gpu_power)                          as gpu_power_count,
           coalesce(sum(m.ram_power), 0)               as ram_power,
           count(m.ram_power)                          as ram_power_count,
           coalesce(sum(m.emissions_rate), 0)          as emissions_rate,
           count(m.emissions_rate)                     as emissions_rate_count,
           coalesce(sum(m.cpu_utilization_percent), 0) as cpu_utilization_percent,
           count(m.cpu_utilization_percent)            as cpu_utilization_percent_count,
           coalesce(sum(m.gpu_utilization_percent), 0) as gpu_utilization_percent,
           count(m.gpu_utilization_percent)            as gpu_utilization_percent_count,
           coalesce(sum(m.ram_utilization_percent), 0) as ram_utilization_percent,
           count(m.ram_utilization_percent)            as ram_utilization_percent_count
      from emissions m
     group by m.run_id, hour_of(m.timestamp);

-- Whether two sums of the same numbers are the same but for the order in which they were added up.
create function same_sum(a double precision, b double precision) returns boolean language sql immutable as $$
    select a = b or abs(a - b) <= 1e-9 * greatest(least(abs(a), abs(b)), 1e-290) -- where a product cannot underflow
$$;

-- Makes the sums of a run anew from its emissions; of a run that is not there, it removes them. False: nothing was done,
-- since a lock was not to be had in time.
--
-- Whoever stores emissions locks run_sums at the start of the statement. So when this one has its lock, all that was
-- stored is there to be seen with its sums, and nothing is stored until it ends. It locks emissions first, as those do,
-- lest it wait for what waits for them.
create function rebuild_sums(of_run uuid) returns boolean language plpgsql set lock_timeout = '500ms' as $$
begin
    lock table emissions in access share mode;
    lock table run_sums in share row exclusive mode;
    delete from emission_hours where run_id = of_run;
    delete from run_sums where run_id = of_run;
    if not exists (select from runs where id = of_run) then
        return true;
    end if;
    with raw as materialized (
        select * from raw_hours where run_id = of_run
    ), hours as (
        insert into emission_hours
            select run_id, hour, emissions_count, emissions_sum, cpu_energy, gpu_energy, ram_energy, energy_consumed,
                   duration, cpu_power, cpu_power_count, gpu_power, gpu_power_count, ram_power, ram_power_count,
                   emissions_rate, emissions_rate_count, cpu_utilization_percent, cpu_utilization_percent_count,
                   gpu_utilization_percent, gpu_utilization_percent_count,
                   ram_utilization_percent, ram_utilization_percent_count
              from raw
    )
    insert into run_sums
        select run_id, min(first_timestamp), max(last_timestamp), sum(emissions_count), sum(emissions_sum), sum(cpu_energy),
               sum(gpu_energy), sum(ram_energy), sum(energy_consumed), sum(duration),
               sum(cpu_power), sum(cpu_power_count), sum(gpu_power), sum(gpu_power_count),
               sum(ram_power), sum(ram_power_count), sum(emissions_rate), sum(emissions_rate_count),
               sum(cpu_utilization_percent), sum(cpu_utilization_percent_count),
               sum(gpu_utilization_percent), sum(gpu_utilization_percent_count),
               sum(ram_utilization_percent), sum(ram_utilization_percent_count)
          from raw
         group by run_id;
    return true;
exception when lock_not_available then
    return false;
end
$$;

-- What is there already. No writer may come between.
lock table emissions in share mode;
select count(rebuild_sums(r.id)) from runs r;

-- A mean; null over nothing. PostgreSQL takes a quotient too small for a double for an error: it is 0.
create function mean_of(total double precision, values_count numeric) returns double precision language sql immutable as $$
    select case when values_count = 0 then null
                when total < values_count * 1e-300::double precision then 0
                else total / values_count end
$$;

-- The tree beside each run's totals, as in 0002_reach.sql.
create view live_run_sums as
    select r.organization_id, r.public, r.project_id, r.experiment_id, s.*
      from run_sums s join live_runs r on r.id = s.run_id;

create function visible_run_sums(who caller) returns setof live_run_sums language sql stable as $$
    select s.* from live_run_sums s
     where s.public
        or s.project_id = (who).project_id
        or s.organization_id in (select o.id from reachable_organizations(who) o)
$$;
