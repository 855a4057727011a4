r"""Hidden maps (n, P, F) of n subnets: from the thin side, and from hidden maps.

Both directions have the same form. Forward, :math:`h_1 = \varphi(w_1 * x + b_1)` and
:math:`h_2 = \varphi(w_2 * h_1 + b_2)`; backward, with a bar for "gradient with respect to" and taps
in reverse order, :math:`\bar h_2 = \varphi'(h_2)\,(w_3^\top * \bar y)` and
:math:`\bar h_1 = \varphi'(h_1)\,(w_2^\top * \bar h_2)`.
"""

from __future__ import annotations

import triton
import triton.language as tl

from denf.flow.kernels.tiles import activated, neighbourhoods, pixels, shifted


@triton.jit
def from_thin(
    thin,
    weights,
    like,
    hidden,
    P,
    length,
    weight_at,
    bias_at,
    shared,
    stride_b,
    stride_c,
    stride_y,
    stride_x,
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
    SLOPE: tl.constexpr,
    BACKWARD: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """A product of gathered neighbourhoods (K = 9C, padded) with the weights.

    Args:
        thin: maps with C channels for every `shared` subnets.
        weights: (n, length) in the order of `denf.flow.kernels.packing`.
        like: (n, P, F), maps whose sign is φ′; backward only.
        hidden: (n, P, F), written.
    """
    net = tl.program_id(1).to(tl.int64)
    p, b, y, x = pixels(tl.program_id(0), H, W, BLOCK)
    f, column = tl.arange(0, FEATURES), tl.arange(0, COLUMNS)
    columns = neighbourhoods(
        thin + (net // shared) * C * stride_c,
        *(p, b, y, x, P, stride_b, stride_c, stride_y, stride_x),
        *(C, H, W, COLUMNS),
    )
    t = 8 - column // C if BACKWARD else column // C
    at = f[None, :] * weight_f + (t * weight_t + (column % C) * weight_c)[:, None]
    inside = (f < F)[None, :] & (column < 9 * C)[:, None]
    w = tl.load(weights + net * length + weight_at + at, mask=inside, other=0.0)
    total = tl.dot(columns.to(w.dtype), w, input_precision=PRECISION)
    bias = weights + net * length + bias_at
    h = activated(total, bias, like + net * P * F, p, f, P, F, SLOPE, BACKWARD)
    at = p[:, None] * F + f[None, :]
    h = h.to(hidden.dtype.element_ty)
    tl.store(hidden + net * P * F + at, h, mask=(p < P)[:, None] & (f < F)[None, :])


@triton.jit
def from_hidden(
    before,
    weights,
    like,
    hidden,
    taps,
    P,
    length,
    weight_at,
    bias_at,
    thin_at,
    weight_out,
    weight_in,
    thin_f,
    thin_t,
    thin_c,
    C: tl.constexpr,
    F: tl.constexpr,
    H: tl.constexpr,
    W: tl.constexpr,
    BLOCK: tl.constexpr,
    COLUMNS: tl.constexpr,
    FEATURES: tl.constexpr,
    SLOPE: tl.constexpr,
    BACKWARD: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """3×3 convolution F → F as an implicit product, then the product to 9C taps of the thin side.

    Args:
        before: (n, P, F).
        weights, like, hidden: as in `from_thin`.
        taps: (n, 9C, P), written: row t·C + c, to be added up by `denf.flow.kernels.thin`.
    """
    net = tl.program_id(1).to(tl.int64)
    p, _, y, x = pixels(tl.program_id(0), H, W, BLOCK)
    f, g = tl.arange(0, FEATURES), tl.arange(0, FEATURES)
    weights += net * length
    at = g[:, None] * weight_in + f[None, :] * weight_out
    square = (g < F)[:, None] & (f < F)[None, :]
    total = tl.zeros((BLOCK, FEATURES), tl.float32)
    for t in range(9):
        h = shifted(before + net * P * F, p, y, x, P, t // 3 - 1, t % 3 - 1, F, H, W, g)
        tap = 8 - t if BACKWARD else t
        w = tl.load(weights + weight_at + tap * F + at, mask=square, other=0.0)
        total = tl.dot(h, w, total, input_precision=PRECISION)
    h = activated(total, weights + bias_at, like + net * P * F, p, f, P, F, SLOPE, BACKWARD)
    h = h.to(hidden.dtype.element_ty)
    at = p[:, None] * F + f[None, :]
    tl.store(hidden + net * P * F + at, h, mask=(p < P)[:, None] & (f < F)[None, :])

    column = tl.arange(0, COLUMNS)
    t = 8 - column // C if BACKWARD else column // C
    at = f[:, None] * thin_f + (t * thin_t + (column % C) * thin_c)[None, :]
    inside = (f < F)[:, None] & (column < 9 * C)[None, :]
    w = tl.load(weights + thin_at + at, mask=inside, other=0.0)
    product = tl.dot(h, w, input_precision=PRECISION).to(taps.dtype.element_ty)
    at = column[None, :] * P + p[:, None]
    inside = (column < 9 * C)[None, :] & (p < P)[:, None]
    tl.store(taps + net * 9 * C * P + at, product, mask=inside)
