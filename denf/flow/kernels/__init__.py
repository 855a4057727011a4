"""Triton kernels for the subnets of a coupling, on a GPU or under Triton's interpreter.

Import this package only where Triton is installed; it comes with torch's builds for CUDA.
"""

from denf.flow.kernels.fused import FusedSubnets

__all__ = ["FusedSubnets"]
