"""How much memory a long list takes, however long it is."""

import time

RUNS = 1_000_000


def download(bench, path, encoding):
    """Reads the answer as it comes. Returns its bytes."""
    response = bench.tree.client.session.get(bench.server.url + path, stream=True, timeout=600,
                                             headers={"Accept-Encoding": encoding})
    assert response.status_code == 200
    return sum(len(piece) for piece in response.raw.stream(65536, decode_content=False))


def measure(bench, report):
    bench.database.query("""insert into runs (id, experiment_id, timestamp, os, cpu_model)
                            select gen_random_uuid(), %s, now() - i * interval '1 second', 'Linux', 'AMD EPYC 7543'
                              from generate_series(1, %s) i""", bench.tree.experiment["id"], RUNS)
    bench.database.query("analyze")
    path = f"/experiments/{bench.tree.experiment['id']}/runs"
    small = f"/projects/{bench.tree.project['id']}/experiments"
    for encoding in ("identity", "gzip"):
        download(bench, small, encoding)
        bench.reset_peak()
        before = bench.memory("VmHWM")
        began = time.monotonic()
        size = download(bench, path, encoding)
        report(f"list of {RUNS:,} runs, {encoding}", {
            "answer, MB": size / 1e6, "growth of the server's peak memory, MB (target < 8)": bench.memory("VmHWM") - before,
            "runs/s": RUNS / (time.monotonic() - began)})
