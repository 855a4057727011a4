"""Triton kernels for the subnets of a coupling, on a GPU or under Triton's interpreter.

Import this package only where Triton is installed; it comes with torch's builds for CUDA. The thin
sides of a subnet are its input and its output, which have few channels.
"""

from denf.flow.kernels.fused import FusedSubnets

__all__ = ["FusedSubnets"]
