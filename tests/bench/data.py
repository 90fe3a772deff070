"""A large organisation, put into the database past the server, with the sums that the server would have kept."""

import datetime

CHUNK = 500_000  # emissions a transaction

TREE = """
    with project as (
        insert into projects (organization_id, name, description)
        select %(organization)s, 'Project ' || i, 'Loaded' from generate_series(1, %(projects)s) i
        returning id
    ), numbered as (
        select id, row_number() over () - 1 as n from project
    ), experiment as (
        insert into experiments (project_id, name, description)
        select p.id, 'Experiment ' || i, 'Loaded'
          from generate_series(1, %(experiments)s) i
          join numbered p on p.n = i %% %(projects)s
        returning id
    ), listed as (
        select id, row_number() over () - 1 as n from experiment
    ), run as (
        insert into runs (id, experiment_id, timestamp, os, cpu_model)
        select gen_random_uuid(), e.id, %(start)s + i * %(apart)s, 'Linux', 'AMD EPYC 7543'
          from generate_series(0, %(runs)s - 1) i
          join listed e on e.n = i %% %(experiments)s
        returning id, timestamp
    )
    select id::text from run order by timestamp"""

# The ids of a chunk ascend, as those that the server makes.
EMISSIONS = """
    insert into emissions (run_id, timestamp, id, duration, emissions_sum, emissions_rate, cpu_power, gpu_power, ram_power,
                           cpu_energy, gpu_energy, ram_energy, energy_consumed, cpu_utilization_percent,
                           gpu_utilization_percent, ram_utilization_percent)
    select r.id, r.timestamp + n * %(step)s,
           (prefix || lpad(to_hex(row_number() over ()), 12, '0'))::uuid, extract(epoch from %(step)s), x * 1e-5, x * 1e-7,
           x * 60, case when n %% 3 = 0 then x * 250 end, 20, x * 1e-5, case when n %% 3 = 0 then x * 4e-5 end, 3e-6,
           x * 6e-5, x * 100, null, 10 + x * 30
      from (select left(gen_random_uuid()::text, 24) as prefix offset 0) p
      cross join runs r
      cross join generate_series(0, %(emissions)s - 1) n
      cross join lateral (select random() + n * 0 as x offset 0) x
     where r.id = any(%(runs)s::uuid[])"""

# As a server makes them, and not while one does. The default partition must not have to be searched for their rows.
PARTITIONS = """
    select pg_advisory_xact_lock(hashtext('carbond partitions'));
    select make_emission_partition(month)
      from (select distinct month_of(day) as month
              from generate_series(%(start)s, %(start)s + %(period)s + %(emissions)s * %(step)s, interval '1 day') day) m
     where emission_partition_name(month) not in (select name from emission_partitions)"""


def load_chunk(cursor, values):
    cursor.execute("begin")
    cursor.execute(EMISSIONS, values)
    cursor.execute("select bool_and(rebuild_sums(id) = 'rebuilt') from unnest(%(runs)s::uuid[]) id", values)
    assert cursor.fetchone() == (True,), "a lock was not to be had in time"
    cursor.execute("commit")


def load(database, organization, *, projects, experiments, runs, emissions, start, period,
         step=datetime.timedelta(minutes=1)):
    """Fills an organisation with projects, experiments and runs, as many of each in all, and with `emissions` of each run,
    a `step` apart. The runs begin at even distances over the period. Returns the ids of the runs in the order in which
    they begin. `database` is a harness.Database."""
    values = {"organization": organization, "projects": projects, "experiments": experiments, "runs": runs,
              "emissions": emissions, "start": start, "period": period, "apart": period / runs, "step": step}
    connection = database.cluster.connect(database.name)
    with connection.cursor() as cursor:
        cursor.execute("set synchronous_commit = off")
        cursor.execute(PARTITIONS, values)
        cursor.execute(TREE, values)
        made = [run for run, in cursor.fetchall()]
        chunk = max(1, CHUNK // emissions)
        for first in range(0, runs, chunk):
            load_chunk(cursor, {**values, "runs": made[first:first + chunk]})
        cursor.execute("vacuum analyze")
    connection.close()
    return made
