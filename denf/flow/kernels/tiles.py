"""Functions that all kernels share: the pixels of a program, and their 3×3 neighbourhoods.

Pixels p = 0…P − 1 number (B, H, W); a tap t = 0…8 is the pixel (t // 3 − 1, t % 3 − 1) away.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def pixels(block, H: tl.constexpr, W: tl.constexpr, BLOCK: tl.constexpr):
    """Numbers of a block of pixels, and their image, row and column."""
    p = block * BLOCK + tl.arange(0, BLOCK)
    return p, p // (H * W), (p // W) % H, p % W


@triton.jit
def neighbourhoods(
    maps,
    p,
    b,
    y,
    x,
    P,
    stride_b,
    stride_c,
    stride_y,
    stride_x,
    C: tl.constexpr,
    H: tl.constexpr,
    W: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Zero-padded neighbourhoods (BLOCK, COLUMNS) of C channels; column t·C + c, rest zero."""
    column = tl.arange(0, COLUMNS)
    t, c = column // C, column % C
    row, col = y[:, None] + (t // 3 - 1)[None, :], x[:, None] + (t % 3 - 1)[None, :]
    inside = (row >= 0) & (row < H) & (col >= 0) & (col < W)
    inside = inside & (p < P)[:, None] & (column < 9 * C)[None, :]
    at = (b * stride_b)[:, None] + (c * stride_c)[None, :] + row * stride_y + col * stride_x
    return tl.load(maps + at, mask=inside, other=0.0)


@triton.jit
def shifted(hidden, p, y, x, P, dy, dx, F: tl.constexpr, H: tl.constexpr, W: tl.constexpr, f):
    """Hidden maps (P, F) of the pixels (dy, dx) away, zero outside: (BLOCK, FEATURES)."""
    row, col = y + dy, x + dx
    inside = (row >= 0) & (row < H) & (col >= 0) & (col < W) & (p < P)
    at = (p + dy * W + dx)[:, None] * F + f[None, :]
    return tl.load(hidden + at, mask=inside[:, None] & (f < F)[None, :], other=0.0)


@triton.jit
def activated(
    total, bias, like, p, f, P, F: tl.constexpr, SLOPE: tl.constexpr, BACKWARD: tl.constexpr
):
    """Forward φ(total + bias); backward total·φ′, by the sign of the output φ at `like`."""
    inside = (f < F)[None, :]
    if BACKWARD:
        h = tl.load(like + p[:, None] * F + f[None, :], mask=inside & (p < P)[:, None], other=0.0)
        return tl.where(h > 0, total, total * SLOPE)
    total = total + tl.load(bias + f, mask=f < F, other=0.0).to(tl.float32)[None, :]
    return tl.where(total > 0, total, total * SLOPE)
