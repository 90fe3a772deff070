"""What script/bench measures. Times mean little on a shared machine: compare figures of one run."""

import argparse

import measure_batch
import measure_client
import measure_deletion
import measure_memory
import measure_parse
import measure_partitions
import measure_reports
import measure_singles
import measure_slow
import measure_stream
from output import Output
from stand import Bench

# Each gets a Bench of its own, and calls report(headline, figures).
MEASURES = {
    "singles": measure_singles.measure,
    "parse": measure_parse.measure,
    "batch": measure_batch.measure,
    "client": measure_client.measure,
    "memory": measure_memory.measure,
    "reports": measure_reports.measure,
    "stream": measure_stream.measure,
    "slow": measure_slow.measure,
    "deletion": measure_deletion.measure,
    "partitions": measure_partitions.measure,
}


def main():
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    output = Output(options.json)
    for name in options.names or MEASURES:
        with Bench() as bench:
            MEASURES[name](bench, output.report)
    output.end()


main()
