"""Comparisons: the sides take turns, so that whatever else the machine does meets all of them."""

import statistics
import sys

ROUNDS = 5


def alternate(sides):
    """`sides` are functions by name, each of which measures once and returns figures by name. Returns the median of
    every figure, by side."""
    taken = {name: [] for name in sides}
    for number in range(1, ROUNDS + 1):
        for name, measure in sides.items():
            figures = measure()
            taken[name].append(figures)
            print(f"round {number} of {ROUNDS}, {name}: {figures}", file=sys.stderr, flush=True)
    return {name: {figure: statistics.median(figures[figure] for figures in rounds) for figure in rounds[0]}
            for name, rounds in taken.items()}
