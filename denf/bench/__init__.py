"""Speed and memory of what must be fast, against the plain ways of doing it."""

from denf.bench.cases import run_cases
from denf.bench.variants import Workload

__all__ = ["Workload", "run_cases"]
