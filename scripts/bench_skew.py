"""How fast and how big comparisons of many nodes are: the rows of `scripts/bench --only skew`.

matrix   the cells of a matrix of about 90,000, beside json.dumps of their lines
plan     the pods of a cluster's dump of 200,000, beside json.loads of the same bytes
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scripts import bench_matrix, bench_plan

if TYPE_CHECKING:
    from collections.abc import Callable

PODS = 200_000

# Every bench of this kind: what measures it, and what says its figures as a person reads them.
BENCHES: dict[str, tuple[Callable[[], dict[str, Any]], Callable[[dict[str, Any]], str]]] = {
    "matrix": (bench_matrix.measure, bench_matrix.shown),
    "plan": (lambda: bench_plan.measure(PODS), bench_plan.shown),
}


def measure() -> dict[str, Any]:
    """Return the figures of every bench, and `says`, all of them in words."""
    figures = {name: work() for name, (work, _) in BENCHES.items()}
    return {**figures, "says": "\n".join(says(figures[name]) for name, (_, says) in BENCHES.items())}


if __name__ == "__main__":
    print(measure()["says"])
