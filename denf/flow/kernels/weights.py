r"""Gradients of weights and biases: sums over pixels, split over programs and added up afterwards.

Each program writes its part once, so that the order of the sum, and the result, is the same in
every run.
"""

from __future__ import annotations

import triton
import triton.language as tl

from denf.flow.kernels.tiles import neighbourhoods, pixels, shifted


@triton.jit
def of_hidden(
    before,
    gradient,
    parts,
    P,
    stride,
    weight_at,
    bias_at,
    length,
    F: tl.constexpr,
    H: tl.constexpr,
    W: tl.constexpr,
    BLOCK: tl.constexpr,
    FEATURES: tl.constexpr,
    SPLIT: tl.constexpr,
    PRECISION: tl.constexpr,
):
    r"""One row of taps of :math:`\bar w_2[f, t, g] = \sum_p \bar h_2[p, f]\,h_1[p + t, g]`.

    Args:
        before, gradient: h₁ and the gradient of h₂ before φ, (n, P, F).
        parts: (splits, n, length) float32, `stride` between splits, written.
        SPLIT: blocks of pixels per program.
    """
    net = tl.program_id(1).to(tl.int64)
    part, row = tl.program_id(0) // 3, tl.program_id(0) % 3
    f = tl.arange(0, FEATURES)
    before += net * P * F
    gradient += net * P * F
    left = tl.zeros((FEATURES, FEATURES), tl.float32)
    middle = tl.zeros((FEATURES, FEATURES), tl.float32)
    right = tl.zeros((FEATURES, FEATURES), tl.float32)
    bias = tl.zeros((FEATURES,), tl.float32)
    for k in range(SPLIT):
        p, _, y, x = pixels(part * SPLIT + k, H, W, BLOCK)
        at = p[:, None] * F + f[None, :]
        d = tl.load(gradient + at, mask=(p < P)[:, None] & (f < F)[None, :], other=0.0)
        bias += tl.sum(d.to(tl.float32), 0)
        d = tl.trans(d)
        h = shifted(before, p, y, x, P, row - 1, -1, F, H, W, f)
        left = tl.dot(d, h, left, input_precision=PRECISION)
        h = shifted(before, p, y, x, P, row - 1, 0, F, H, W, f)
        middle = tl.dot(d, h, middle, input_precision=PRECISION)
        h = shifted(before, p, y, x, P, row - 1, 1, F, H, W, f)
        right = tl.dot(d, h, right, input_precision=PRECISION)
    parts += part.to(tl.int64) * stride + net * length
    at = weight_at + f[:, None] * (9 * F) + 3 * row * F + f[None, :]
    inside = (f < F)[:, None] & (f < F)[None, :]
    tl.store(parts + at, left, mask=inside)
    tl.store(parts + at + F, middle, mask=inside)
    tl.store(parts + at + 2 * F, right, mask=inside)
    tl.store(parts + bias_at + f, bias, mask=(f < F) & (row == 0))


@triton.jit
def of_thin(
    maps,
    thin,
    parts,
    P,
    stride,
    weight_at,
    bias_at,
    length,
    shared,
    maps_net,
    maps_b,
    maps_c,
    maps_y,
    maps_x,
    thin_b,
    thin_c,
    thin_y,
    thin_x,
    weight_f,
    weight_t,
    weight_c,
    C: tl.constexpr,
    F: tl.constexpr,
    H: tl.constexpr,
    W: tl.constexpr,
    BLOCK: tl.constexpr,
    COLUMNS: tl.constexpr,
    FEATURES: tl.constexpr,
    FLIP: tl.constexpr,
    BIAS: tl.constexpr,
    SPLIT: tl.constexpr,
    PRECISION: tl.constexpr,
):
    r""":math:`\bar w[f, t, c] = \sum_p m[p, f]\,N[p, t, c]`, N the neighbourhoods of thin maps.

    First layer: m the gradient of h₁, N of x. Last: m = h₂, N of the gradient of y, taps reversed.
    Skip: m the gradient of y, N of x.

    Args:
        maps: m, F channels per subnet, of any strides.
        thin: C channels for every `shared` subnets, of any strides.
        parts, SPLIT: as in `of_hidden`.
    """
    net = tl.program_id(1).to(tl.int64)
    part = tl.program_id(0)
    f, column = tl.arange(0, FEATURES), tl.arange(0, COLUMNS)
    maps += net * maps_net
    thin += (net // shared) * C * thin_c
    total = tl.zeros((FEATURES, COLUMNS), tl.float32)
    bias = tl.zeros((FEATURES,), tl.float32)
    for k in range(SPLIT):
        p, b, y, x = pixels(part * SPLIT + k, H, W, BLOCK)
        at = (b * maps_b + y * maps_y + x * maps_x)[:, None] + (f * maps_c)[None, :]
        m = tl.load(maps + at, mask=(p < P)[:, None] & (f < F)[None, :], other=0.0)
        columns = neighbourhoods(
            thin, p, b, y, x, P, thin_b, thin_c, thin_y, thin_x, C, H, W, COLUMNS
        )
        if BIAS:
            bias += tl.sum(m.to(tl.float32), 0)
        if m.dtype != columns.dtype:
            columns = columns.to(m.dtype)
        total = tl.dot(tl.trans(m), columns, total, input_precision=PRECISION)
    parts += part.to(tl.int64) * stride + net * length
    t = 8 - column // C if FLIP else column // C
    at = f[:, None] * weight_f + (t * weight_t + (column % C) * weight_c)[None, :]
    inside = (f < F)[:, None] & (column < 9 * C)[None, :]
    tl.store(parts + weight_at + at, total, mask=inside)
    if BIAS:
        tl.store(parts + bias_at + f, bias, mask=f < F)
