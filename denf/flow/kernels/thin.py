r"""The thin side of subnets: the stencil over taps, the skip convolution and the bias.

Forward, :math:`y = N^\top (w_3 h_2) + S * x + b_3`; backward, summed over the subnets of one input,
:math:`\bar x = N^\top (w_1^\top \bar h_1) + S^\top * \bar y`.
"""

from __future__ import annotations

import triton
import triton.language as tl

from denf.flow.kernels.tiles import pixels


@triton.jit
def to_thin(
    taps,
    other,
    weights,
    thin,
    P,
    length,
    skip_at,
    bias_at,
    shared,
    other_b,
    other_c,
    other_y,
    other_x,
    skip_out,
    skip_t,
    skip_in,
    thin_b,
    NETS: tl.constexpr,
    C: tl.constexpr,
    CIN: tl.constexpr,
    H: tl.constexpr,
    W: tl.constexpr,
    BLOCK: tl.constexpr,
    CHANNELS: tl.constexpr,
    BACKWARD: tl.constexpr,
):
    """One group of C channels of the thin side.

    Args:
        taps: (n, 9C, P).
        other: maps of the other thin side, CIN channels for every `shared` subnets.
        weights: (n, length).
        thin: (B, groups·C, H, W) contiguous, written.
        NETS: subnets whose taps are summed in one group.
    """
    group = tl.program_id(1).to(tl.int64)
    p, b, y, x = pixels(tl.program_id(0), H, W, BLOCK)
    c = tl.arange(0, CHANNELS)
    valid = c < C
    total = tl.zeros((BLOCK, CHANNELS), tl.float32)
    for k in range(NETS):
        net = group * NETS + k
        skip = weights + net * length + skip_at
        source = other + (net // shared) * CIN * other_c
        for t in range(9):
            dy, dx = t // 3 - 1, t % 3 - 1
            row, col = y + dy, x + dx
            inside = (row >= 0) & (row < H) & (col >= 0) & (col < W) & (p < P)
            at = (t * C + c)[None, :] * P + (p + dy * W + dx)[:, None]
            part = tl.load(
                taps + net * 9 * C * P + at, mask=inside[:, None] & valid[None, :], other=0.0
            )
            total += part.to(tl.float32)
            tap = 8 - t if BACKWARD else t
            for j in range(CIN):
                place = b * other_b + j * other_c + row * other_y + col * other_x
                value = tl.load(source + place, mask=inside, other=0.0).to(tl.float32)
                w = tl.load(skip + c * skip_out + tap * skip_t + j * skip_in, mask=valid, other=0.0)
                total += value[:, None] * w.to(tl.float32)[None, :]
        if not BACKWARD:
            bias = tl.load(weights + net * length + bias_at + c, mask=valid, other=0.0)
            total += bias.to(tl.float32)[None, :]
    at = (b * thin_b + y * W + x)[:, None] + (group * C + c)[None, :] * (H * W)
    tl.store(thin + at, total.to(thin.dtype.element_ty), mask=(p < P)[:, None] & valid[None, :])
