"""The loss of the head and its gradients on a GPU.

The loss takes two launches: one pass over the rows, in parts, then the parts' sum. Nothing waits for the device and no
part of the work depends on chance.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from progrm_fast.kernels.score.triton_kernels import empty, place, row_offset, sigmoid_less

__all__ = ["head_hidden_gradient", "head_weight_sums", "progress_bce"]

_GRADIENT_COLUMNS = 2048
_PARTS = 512  # of the sums over steps; fixed, so that every GPU adds in the same order
_WIDEST = 16384  # columns of the sums that lie in one program's registers; the loss needs the whole row there


@triton.jit
def sums_kernel(
    hidden,
    weight,
    bias,
    norm_weight,
    step_index,
    targets,
    sample_weights,
    dlogits,
    dots,
    scales,
    part_sums,
    part_losses,
    n_steps,
    n_rows,
    rows_per_batch,
    batch_stride,
    row_stride,
    width,
    heads,
    eps,
    per_part,
    LOSS: tl.constexpr,
    HAS_BIAS: tl.constexpr,
    HAS_NORM: tl.constexpr,
    HAS_WEIGHTS: tl.constexpr,
    WANT_SUMS: tl.constexpr,
    COLUMNS: tl.constexpr,
    COUNTED: tl.constexpr,
):
    """One part of the steps, one head: loss, dlogits, and the sum of dlogits * scale * row, each row read once.

    Without LOSS the dlogits and scales are read instead, and a row may be cut into tiles of COLUMNS, one a program.
    """
    part = tl.program_id(0)
    head = tl.program_id(1)
    column = tl.program_id(2) * COLUMNS + tl.arange(0, COLUMNS)
    fits = column < width
    sums = tl.zeros([COLUMNS], tl.float32)
    loss = tl.zeros([], tl.float64)
    share = 1.0
    w = tl.zeros([COLUMNS], tl.float32)
    if LOSS:
        w = tl.load(weight + head * width + column, mask=fits, other=0.0).to(tl.float32)
        if HAS_NORM:
            w *= tl.load(norm_weight + column, mask=fits, other=0.0).to(tl.float32)
        # Every program counts the valid steps for itself: cheaper than a launch of its own.
        count = tl.zeros([COUNTED], tl.int32)
        for first in range(0, n_steps, COUNTED):
            at = first + tl.arange(0, COUNTED)
            y = tl.load(targets + at, mask=at < n_steps, other=float("nan"))
            counts = y == y
            if HAS_WEIGHTS:
                counts = counts & (tl.load(sample_weights + at, mask=at < n_steps, other=0.0) != 0)
            count += counts.to(tl.int32)
        share = 1.0 / (tl.maximum(tl.sum(count, axis=0), 1) * heads).to(tl.float32)
    for k in range(part * per_part, tl.minimum((part + 1) * per_part, n_steps)):
        index = tl.load(step_index + k)
        exists = (index >= 0) & (index < n_rows)
        missing = (index < 0) | (index >= n_rows)
        if LOSS:
            y = tl.load(targets + k)
            u = tl.full([], 1.0, tl.float32)
            if HAS_WEIGHTS:
                u = tl.load(sample_weights + k)
            counts = (y == y) & (u != 0)
            right = exists & (y >= 0) & (y <= 1) & (u > 0) & (u < float("inf"))
        else:
            d = tl.load(dlogits + k * heads + head)
            counts = d != 0
        row = hidden + row_offset(tl.where(exists, index, 0), rows_per_batch, batch_stride, row_stride)
        x = tl.load(row + column, mask=column < tl.where(counts & exists, width, 0), other=0.0).to(tl.float32)
        if LOSS:
            z = tl.sum(x * w, axis=0)
            scale = 1.0
            if HAS_NORM:
                scale = 1.0 / tl.sqrt(tl.sum(x * x, axis=0) / width + eps)
                z *= scale
                tl.store(scales + k, tl.where(counts, scale, 0.0))
            tl.store(dots + k * heads + head, tl.where(counts, z, 0.0))
            if HAS_BIAS:
                z += tl.load(bias + head).to(tl.float32)
            z = tl.where(right, z, float("nan"))
            e = tl.exp(-tl.abs(z))
            one_more = 1.0 + e
            # log(1 + e) as exact for small e as for large
            rest = tl.where(
                one_more == 1.0, e, tl.log(one_more) * (e / tl.where(one_more == 1.0, 1.0, one_more - 1.0))
            )
            cross_entropy = tl.where(z < 0, 0.0, z) - z * y + rest
            d = tl.where(counts, u * share * sigmoid_less(z, y), 0.0)
            tl.store(dlogits + k * heads + head, d)
            loss += tl.where(counts, u * share * cross_entropy, 0.0).to(tl.float64)
        else:
            scale = 1.0
            if HAS_NORM:
                scale = tl.load(scales + k)
            d = tl.where(counts & missing, float("nan"), d)
        if WANT_SUMS:
            sums += tl.where(counts, d * scale, 0.0) * x
    if WANT_SUMS:
        tl.store(part_sums + (part * heads + head).to(tl.int64) * width + column, sums, mask=fits)
    if LOSS:
        tl.store(part_losses + part * heads + head, loss)


@triton.jit
def finish_kernel(
    part_sums,
    part_losses,
    sums,
    loss,
    n_parts,
    size,
    n_losses,
    LOSS: tl.constexpr,
    WANT_SUMS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Add the parts up, in order."""
    if WANT_SUMS:
        at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
        total = tl.zeros([BLOCK], tl.float32)
        for part in range(n_parts):
            total += tl.load(part_sums + tl.cast(part, tl.int64) * size + at, mask=at < size, other=0.0)
        tl.store(sums + at, total, mask=at < size)
    if LOSS:
        if tl.program_id(0) == 0:
            whole = tl.zeros([BLOCK], tl.float64)
            for first in range(0, n_losses, BLOCK):
                i = first + tl.arange(0, BLOCK)
                whole += tl.load(part_losses + i, mask=i < n_losses, other=0.0)
            tl.store(loss, tl.sum(whole, axis=0).to(tl.float32))


@triton.jit
def gradient_kernel(
    hidden,
    weight,
    norm_weight,
    sorted_rows,
    order,
    dots,
    scales,
    dlogits,
    gradient,
    n_steps,
    n_rows,
    rows_per_batch,
    batch_stride,
    row_stride,
    width,
    heads,
    HAS_NORM: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Write the gradient of one row, from the steps that end there in their order; the first of them does it."""
    i = tl.program_id(0)
    row = tl.load(sorted_rows + i)
    before = tl.load(sorted_rows + i - 1, mask=i > 0, other=-1)
    if (row < n_rows) & (row != before):
        for first in range(0, width, COLUMNS):
            at = first + tl.arange(0, COLUMNS)
            total = tl.zeros([COLUMNS], tl.float32)
            along = 0.0
            j = i
            same = row
            while same == row:
                k = tl.load(order + j)
                scale = 1.0
                if HAS_NORM:
                    scale = tl.load(scales + k)
                for head in range(heads):
                    d = tl.load(dlogits + k * heads + head)
                    total += (
                        d * scale * tl.load(weight + head * width + at, mask=at < width, other=0.0).to(tl.float32)
                    )
                    along += scale * scale * d * tl.load(dots + k * heads + head)
                j += 1
                same = tl.load(sorted_rows + j, mask=j < n_steps, other=-1)
            if HAS_NORM:
                total *= tl.load(norm_weight + at, mask=at < width, other=0.0).to(tl.float32)
                x = hidden + row_offset(row, rows_per_batch, batch_stride, row_stride) + at
                total -= along / width * tl.load(x, mask=at < width, other=0.0).to(tl.float32)
            tl.store(gradient + row * width + at, total.to(gradient.dtype.element_ty), mask=at < width)


def progress_bce(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    step_index: torch.Tensor,
    targets: torch.Tensor,
    sample_weights: torch.Tensor | None,
    norm_weight: torch.Tensor | None,
    norm_eps: float,
    want_sums: bool,
) -> tuple[torch.Tensor, ...]:
    """Return loss (), its gradient in the logits (K, heads), dot products, scales, sums of the weight's gradient."""
    n, heads = step_index.shape[0], weight.shape[0]
    dlogits, dots = empty(hidden, n, heads), empty(hidden, n, heads)
    scales = empty(hidden, 0 if norm_weight is None else n)
    sums = empty(hidden, *(weight.shape if want_sums else (0, 0)))
    loss = empty(hidden)
    _sum_over_steps(
        hidden,
        step_index,
        dlogits,
        scales,
        sums,
        loss,
        (weight, bias, norm_weight, norm_eps, dots, targets, sample_weights),
    )
    return loss, dlogits, dots, scales, sums


def head_weight_sums(
    hidden: torch.Tensor, step_index: torch.Tensor, scales: torch.Tensor, dlogits: torch.Tensor
) -> torch.Tensor:
    """Return the sum over steps of dlogits * scale * row, (heads, H)."""
    sums = empty(hidden, dlogits.shape[1], hidden.shape[2])
    _sum_over_steps(hidden, step_index, dlogits.contiguous(), scales, sums, None, None)
    return sums


def head_hidden_gradient(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    norm_weight: torch.Tensor | None,
    step_index: torch.Tensor,
    dots: torch.Tensor,
    scales: torch.Tensor,
    dlogits: torch.Tensor,
) -> torch.Tensor:
    """Return the dense gradient of hidden."""
    gradient = torch.zeros(hidden.shape, dtype=hidden.dtype, device=hidden.device)
    n, width = step_index.shape[0], hidden.shape[2]
    if n == 0:
        return gradient
    n_rows = hidden.shape[0] * hidden.shape[1]
    # Steps that touch nothing go to the end. A stable sort keeps the order of steps that share a row.
    used = (dlogits != 0).any(1) & (step_index >= 0) & (step_index < n_rows)
    sorted_rows, order = torch.sort(torch.where(used, step_index, n_rows), stable=True)
    gradient_kernel[(n,)](
        hidden,
        weight,
        norm_weight,
        sorted_rows,
        order,
        dots,
        scales,
        dlogits.contiguous(),
        gradient,
        n,
        *place(hidden),
        width,
        weight.shape[0],
        HAS_NORM=norm_weight is not None,
        COLUMNS=min(_GRADIENT_COLUMNS, max(16, triton.next_power_of_2(width))),
        num_warps=4,
    )
    return gradient


_Loss = tuple[
    torch.Tensor,
    "torch.Tensor | None",
    "torch.Tensor | None",
    float,
    torch.Tensor,
    torch.Tensor,
    "torch.Tensor | None",
]


def _sum_over_steps(
    hidden: torch.Tensor,
    step_index: torch.Tensor,
    dlogits: torch.Tensor,
    scales: torch.Tensor,
    sums: torch.Tensor,
    loss: torch.Tensor | None,
    head: _Loss | None,
) -> None:
    """Two launches: with ``loss`` and ``head`` dlogits, dots and scales are written, else dlogits and scales read."""
    (n, heads), width = dlogits.shape, hidden.shape[2]
    if n == 0:
        sums.zero_()
        if loss is not None:
            loss.zero_()
        return
    if loss is not None and width > _WIDEST:
        raise ValueError(f"hidden: backend 'triton' takes the loss of at most {_WIDEST} columns, got {width}")
    weight, bias, norm_weight, norm_eps, dots, targets, sample_weights = head or (None,) * 7
    want_sums = sums.numel() > 0
    per_part = triton.cdiv(n, min(n, _PARTS))
    n_parts = triton.cdiv(n, per_part)
    part_sums = empty(hidden, n_parts * heads * width if want_sums else 0)
    part_losses = torch.empty(n_parts * heads, dtype=torch.float64, device=hidden.device)
    columns = min(_WIDEST, max(16, triton.next_power_of_2(width)))
    sums_kernel[(n_parts, heads, triton.cdiv(width, columns))](
        hidden,
        weight,
        bias,
        norm_weight,
        step_index,
        targets,
        sample_weights,
        dlogits,
        dots,
        scales,
        part_sums,
        part_losses,
        n,
        *place(hidden),
        width,
        heads,
        norm_eps or 0.0,
        per_part,
        LOSS=loss is not None,
        HAS_BIAS=bias is not None,
        HAS_NORM=scales.numel() > 0,
        HAS_WEIGHTS=sample_weights is not None,
        WANT_SUMS=want_sums,
        COLUMNS=columns,
        COUNTED=min(1024, max(16, triton.next_power_of_2(n))),
        num_warps=min(16, max(4, columns // 512)),
    )
    size = heads * width if want_sums else 0
    block = min(512, max(16, triton.next_power_of_2(max(1, size))))
    finish_kernel[(max(1, triton.cdiv(size, block)),)](
        part_sums,
        part_losses,
        sums,
        loss,
        n_parts,
        size,
        n_parts * heads,
        LOSS=loss is not None,
        WANT_SUMS=want_sums,
        BLOCK=block,
        num_warps=4,
    )
