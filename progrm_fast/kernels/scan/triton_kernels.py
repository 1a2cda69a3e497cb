"""Scans on a GPU: one program per tile of rows, walking its rows from the last block of columns to the first.

The recurrence is the one of csrc/scan/kernels-inl.h: u carries c R + (gamma - c) V, so that R_t = r_t + u_next and
a masked position is the identity. The scan of a block keeps, beside each map composed so far, the same map without
its leftmost part; applied to the carry that is u_next, and no neighbour has to be loaded.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl

__all__ = ["scan"]


@triton.jit
def _compose(a_right, b_right, ea_right, eb_right, a_left, b_left, ea_left, eb_left):
    # Maps u -> a u + b, the left one applied last; (ea, eb) is the composition without its leftmost map.
    return a_left * a_right, b_left + a_left * b_right, ea_left * a_right, eb_left + ea_left * b_right


@triton.jit
def _compose_cut(a_right, b_right, ea_right, eb_right, a_left, b_left, ea_left, eb_left):
    # As _compose, but a factor 0 (a row's end inside it) also shuts out infinities and NaN.
    b = tl.where(a_left == 0, b_left, b_left + a_left * b_right)
    eb = tl.where(ea_left == 0, eb_left, eb_left + ea_left * b_right)
    return a_left * a_right, b, ea_left * a_right, eb


@triton.jit
def scan_kernel(
    rewards,
    values,
    mask,
    dones,
    cu_seqlens,
    last_values,
    advantages,
    returns,
    moments,
    n_rows,
    n_columns,
    reward_stride,
    value_stride,
    mask_stride,
    done_stride,
    advantage_stride,
    return_stride,
    gamma,
    c,
    HAS_VALUES: tl.constexpr,
    HAS_MASK: tl.constexpr,
    HAS_DONES: tl.constexpr,
    HAS_LAST: tl.constexpr,
    PACKED: tl.constexpr,
    WANT_MOMENTS: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Scan ROWS rows, COLUMNS at a time; row offsets are 64-bit."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    row_exists = row < n_rows
    wide_row = row.to(tl.int64)
    if PACKED:
        # ROWS is 1. Clamped: offsets that do not fit must not read beyond the tensor.
        start = tl.minimum(tl.maximum(tl.load(cu_seqlens + tl.program_id(0)), 0), n_columns)
        stop = tl.minimum(tl.maximum(tl.load(cu_seqlens + tl.program_id(0) + 1), start), n_columns)
        length = stop - start
        base = start.to(tl.int64)
    else:
        length = n_columns
        base = 0
    if HAS_LAST:
        last = tl.load(last_values + row, mask=row_exists, other=0.0).to(tl.float64)
        u = gamma * last
    else:
        u = tl.zeros([ROWS], tl.float64)
    count = tl.zeros([ROWS], tl.float64)
    mean = tl.zeros([ROWS], tl.float64)
    m2 = tl.zeros([ROWS], tl.float64)

    n_blocks = tl.cdiv(length, COLUMNS)
    for i in range(n_blocks):
        column = (n_blocks - 1 - i) * COLUMNS + tl.arange(0, COLUMNS)
        inside = row_exists[:, None] & (column < length)[None, :]
        if PACKED:
            place = base + column[None, :].to(tl.int64)
            r_at = place
            v_at = place
            m_at = place
            d_at = place
            a_at = place
            g_at = place
        else:
            r_at = wide_row[:, None] * reward_stride + column[None, :]
            v_at = wide_row[:, None] * value_stride + column[None, :]
            m_at = wide_row[:, None] * mask_stride + column[None, :]
            d_at = wide_row[:, None] * done_stride + column[None, :]
            a_at = wide_row[:, None] * advantage_stride + column[None, :]
            g_at = wide_row[:, None] * return_stride + column[None, :]
        valid = inside
        if HAS_MASK:
            valid = inside & (tl.load(mask + m_at, mask=inside, other=0) != 0)
        r = tl.load(rewards + r_at, mask=inside, other=0.0).to(tl.float32)
        if HAS_VALUES:
            v = tl.load(values + v_at, mask=inside, other=0.0).to(tl.float32)
            # R = A + V: a value that is no finite number makes its own return, and all before it, NaN.
            not_finite = v - v
            term = c * (r + not_finite) + (gamma - c) * v
        else:
            not_finite = 0.0
            term = c * r
        factor = tl.where(valid, c, 1.0)
        term = tl.where(valid, term, 0.0)
        one = tl.full([ROWS, COLUMNS], 1.0, tl.float32)
        zero = tl.zeros([ROWS, COLUMNS], tl.float32)
        if HAS_DONES:
            done = valid & (tl.load(dones + d_at, mask=inside, other=0) != 0)
            # u after a done is 0, so R = r: the map takes any u_next to c r + (gamma - c) V.
            a, b, ea, eb = tl.associative_scan(
                (tl.where(done, 0.0, factor), term, one, zero), axis=1, combine_fn=_compose_cut, reverse=True
            )
            carry = u.to(tl.float32)[:, None]
            u_next = tl.where(done, 0.0, tl.where(ea == 0, eb, eb + ea * carry))
        else:
            a, b, ea, eb = tl.associative_scan((factor, term, one, zero), axis=1, combine_fn=_compose, reverse=True)
            u_next = eb + ea * u.to(tl.float32)[:, None]
        # The first column's map is the whole block's.
        first = (tl.arange(0, COLUMNS) == 0)[None, :]
        block_a = tl.sum(tl.where(first, a, 0.0), axis=1).to(tl.float64)
        block_b = tl.sum(tl.where(first, b, 0.0), axis=1).to(tl.float64)
        if HAS_DONES:
            u = tl.where(block_a == 0, block_b, block_b + block_a * u)
        else:
            u = block_b + block_a * u

        g = r + u_next
        result = tl.where(valid, g + not_finite, 0.0)
        tl.store(returns + g_at, result, mask=inside)
        if HAS_VALUES:
            result = tl.where(valid, g - v, 0.0)
            tl.store(advantages + a_at, result, mask=inside)

        if WANT_MOMENTS:
            # Around the block's largest element, so that constants have exactly no variance; then merged in double.
            n = tl.sum(valid.to(tl.float32), axis=1)
            some = n > 0
            n_or_1 = tl.where(some, n, 1.0)
            shift = tl.where(some, tl.max(tl.where(valid, result, float("-inf")), axis=1), 0.0)
            block_mean = shift + tl.sum(tl.where(valid, result - shift[:, None], 0.0), axis=1) / n_or_1
            deviation = tl.where(valid, result - block_mean[:, None], 0.0)
            block_m2 = tl.sum(deviation * deviation, axis=1).to(tl.float64)
            n = n.to(tl.float64)
            total = tl.where(some, count + n, 1.0)
            offset = block_mean.to(tl.float64) - mean
            m2 = tl.where(some, m2 + block_m2 + offset * offset * (count * n / total), m2)
            mean = tl.where(some, mean + offset * (n / total), mean)
            count = count + n

    if WANT_MOMENTS:
        tl.store(moments + row * 3, count, mask=row_exists)
        tl.store(moments + row * 3 + 1, mean, mask=row_exists)
        tl.store(moments + row * 3 + 2, m2, mask=row_exists)


def scan(
    rewards: torch.Tensor,
    values: torch.Tensor | None,
    mask: torch.Tensor | None,
    cu_seqlens: torch.Tensor | None,
    last_values: torch.Tensor | None,
    dones: torch.Tensor | None,
    gamma: float,
    lam: float,
    advantages: torch.Tensor | None,
    returns: torch.Tensor,
    moments: torch.Tensor | None,
) -> None:
    """Write advantages, returns and each row's moments in one launch."""
    packed = cu_seqlens is not None
    n_rows = cu_seqlens.shape[0] - 1 if cu_seqlens is not None else rewards.shape[0]
    if n_rows == 0:
        return
    n_columns = rewards.shape[-1]
    rows, columns, num_warps = tile(n_columns, packed)

    def stride(x: torch.Tensor | None) -> int:
        return 0 if x is None or packed else x.stride(0)

    scan_kernel[(triton.cdiv(n_rows, rows),)](
        rewards,
        values,
        _readable(mask),
        _readable(dones),
        cu_seqlens,
        last_values,
        advantages,
        returns,
        moments,
        n_rows,
        n_columns,
        stride(rewards),
        stride(values),
        stride(mask),
        stride(dones),
        stride(advantages),
        stride(returns),
        gamma,
        gamma * lam,
        HAS_VALUES=values is not None,
        HAS_MASK=mask is not None,
        HAS_DONES=dones is not None,
        HAS_LAST=last_values is not None,
        PACKED=packed,
        WANT_MOMENTS=moments is not None,
        ROWS=rows,
        COLUMNS=columns,
        num_warps=num_warps,
    )


def tile(n_columns: int, packed: bool) -> tuple[int, int, int]:
    """Return (rows, columns, warps): short padded rows share a program, long ones go 1024 columns at a time."""
    columns = min(1024, max(16, triton.next_power_of_2(n_columns)))
    rows = 1 if packed else max(1, min(16, 1024 // columns))
    return rows, columns, 4


def _readable(mask: torch.Tensor | None) -> Any:
    """Booleans as bytes: the same memory."""
    return mask.view(torch.uint8) if mask is not None and mask.dtype == torch.bool else mask
