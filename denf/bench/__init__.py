"""Speed and memory of critical parts, compared with plain implementations."""

from denf.bench.cases import run_cases
from denf.bench.variants import Workload

__all__ = ["Workload", "run_cases"]
