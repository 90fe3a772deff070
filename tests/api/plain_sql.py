"""What emissions add up to, by plain SQL over the raw rows in exact arithmetic: the tables of sums and the reports are
held to it. Counts are equal, sums and means within 1e-9 of it."""

import math

SUMS = {"emissions": "emissions_sum", "cpu_energy": "cpu_energy", "gpu_energy": "gpu_energy",
        "ram_energy": "ram_energy", "energy_consumed": "energy_consumed", "duration": "duration"}
RATES = ("cpu_power", "gpu_power", "ram_power", "emissions_rate")
UTILIZATIONS = ("cpu_utilization_percent", "gpu_utilization_percent", "ram_utilization_percent")
MEANS = RATES + UTILIZATIONS
TOLERANCE = "1e-9"

HOUR = "date_trunc('hour', m.timestamp at time zone 'UTC') at time zone 'UTC'"


def _differing(table, key):
    """The rows of a table of sums that are missing, too many, or not what the raw rows add up to."""
    summed = [*SUMS.values(), *MEANS]
    counts = ["emissions_count", *(f"{name}_count" for name in MEANS)]
    raw = ", ".join(["count(*) as emissions_count", "min(m.timestamp) as first_timestamp",
                     "max(m.timestamp) as last_timestamp",
                     *(f"coalesce(sum(m.{name}::numeric), 0) as {name}" for name in summed),
                     *(f"count(m.{name}) as {name}_count" for name in MEANS)])
    equal = [*counts, *(("first_timestamp", "last_timestamp") if "hour" not in key else ())]
    differs = " or ".join([*(f"raw.{name} is distinct from kept.{name}" for name in equal),
                           *(f"abs(raw.{name} - kept.{name}::numeric) > {TOLERANCE} * abs(raw.{name})" for name in summed)])
    columns = ", ".join(key)
    expressions = ", ".join(f"{expression} as {name}" for name, expression in key.items())
    return f"""with raw as (select {expressions}, {raw} from emissions m group by {", ".join(key.values())})
               select {columns}, to_jsonb(raw), to_jsonb(kept) from raw full join {table} kept using ({columns})
                where {differs} limit 5"""


def assert_tables_match(database):
    for table, key in (("run_sums", {"run_id": "m.run_id"}),
                       ("emission_hours", {"run_id": "m.run_id", "hour": HOUR})):
        differing = database.query(_differing(table, key))
        assert not differing, f"{table} differs from the raw rows:\n" + "\n".join(map(str, differing))


def report(database, condition, identity, start, end):
    """The report over the emissions of what `condition` (on o, p, e and r: the tree) names."""
    columns = ", ".join([*(f"coalesce(sum(m.{column}::numeric), 0)::float8 as {name}" for name, column in SUMS.items()),
                         *(f"coalesce(avg(m.{name}::numeric), 0)::float8 as {name}" for name in RATES),
                         *(f"avg(m.{name}::numeric)::float8 as {name}" for name in UTILIZATIONS),
                         "count(*) as emissions_count"])
    return database.value(f"""
        select row_to_json(report) from (
            select {columns}
              from emissions m join runs r on r.id = m.run_id join experiments e on e.id = r.experiment_id
              join projects p on p.id = e.project_id join organizations o on o.id = p.organization_id
             where {condition} = %s and p.deleted_at is null and m.timestamp between %s and %s) report""",
                          identity, start, end)


def assert_report(answer, expected):
    assert answer["emissions_count"] == expected["emissions_count"], (answer, expected)
    for name in (*SUMS, *MEANS):
        if expected[name] is None:
            assert answer[name] is None, (name, answer, expected)
        else:
            assert answer[name] is not None and math.isclose(
                answer[name], expected[name], rel_tol=float(TOLERANCE), abs_tol=1e-300), (name, answer, expected)
