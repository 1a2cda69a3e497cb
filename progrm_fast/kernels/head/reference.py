"""The loss of the head and its gradients in plain torch, in float64."""

from __future__ import annotations

import torch

from progrm_fast.kernels.checks import result_dtype
from progrm_fast.kernels.score.reference import project, rows_of_steps

__all__ = ["head_hidden_gradient", "head_weight_sums", "progress_bce"]


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
    (n,), heads, dtype = step_index.shape, weight.shape[0], result_dtype(hidden)
    weights = torch.ones_like(targets) if sample_weights is None else sample_weights
    valid = (weights != 0) & ~targets.isnan()
    _check_labels(targets[valid], weights[valid])
    count = max(1, int(valid.sum()))

    dots = torch.zeros(n, heads, dtype=torch.float64, device=hidden.device)
    scales = dots.new_zeros(0 if norm_weight is None else n)
    dots[valid], some_scales = project(rows_of_steps(hidden, step_index[valid]), weight, norm_weight, norm_eps)
    if norm_weight is not None:
        scales[valid] = some_scales
    logits = dots[valid] if bias is None else dots[valid] + bias.double()
    y, u = targets[valid].double()[:, None], weights[valid].double()[:, None]
    e = torch.exp(-logits.abs())
    losses = logits.clamp(min=0) - logits * y + torch.log1p(e)
    loss = (u * losses).sum() / (count * heads)
    # q - y; where both are near 1, from what each lacks.
    errors = torch.where(logits > 0, (1 - y) - e / (1 + e), e / (1 + e) - y)
    dlogits = torch.zeros_like(dots)
    dlogits[valid] = u * errors / (count * heads)
    sums = dots.new_zeros(0, 0)
    if want_sums:
        sums = head_weight_sums(hidden, step_index, scales, dlogits)
    return tuple(x.to(dtype, copy=True) for x in (loss, dlogits, dots, scales, sums))


def head_hidden_gradient(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    norm_weight: torch.Tensor | None,
    step_index: torch.Tensor,
    dots: torch.Tensor,
    scales: torch.Tensor,
    dlogits: torch.Tensor,
) -> torch.Tensor:
    """Return the gradient of hidden: with d = dlogits, s = scale, d (s w g) - s^2 (d . dots) x / H per step."""
    width = hidden.shape[2]
    used = (dlogits != 0).any(1).nonzero()[:, 0]
    d = dlogits[used].double()
    if norm_weight is None:
        rows = d @ weight.double()
    else:
        s = scales[used].double()[:, None]
        along = (d * dots[used].double()).sum(1, keepdim=True)
        rows = s * (d @ (weight.double() * norm_weight.double()))
        rows -= s**2 * along / width * rows_of_steps(hidden, step_index[used])
    grad = torch.zeros(hidden.shape, dtype=torch.float64, device=hidden.device)
    flat = grad.view(-1, width)
    for row, at in zip(rows, step_index[used].tolist(), strict=True):
        flat[at] += row
    return grad.to(hidden.dtype)


def head_weight_sums(
    hidden: torch.Tensor, step_index: torch.Tensor, scales: torch.Tensor, dlogits: torch.Tensor
) -> torch.Tensor:
    """Return the sum over steps of dlogits * scale * row, (heads, H)."""
    used = (dlogits != 0).any(1)
    rows = rows_of_steps(hidden, step_index[used])
    if scales.numel():
        rows = rows * scales[used].double()[:, None]
    return (dlogits[used].double().T @ rows).to(result_dtype(hidden))


def _check_labels(targets: torch.Tensor, weights: torch.Tensor) -> None:
    if not ((targets >= 0) & (targets <= 1)).all():
        wrong = targets[(targets < 0) | (targets > 1)][0]
        raise ValueError(f"targets: expected numbers of 0 to 1 or NaN, got {float(wrong):g}")
    if not ((weights > 0) & weights.isfinite()).all():
        wrong = weights[~((weights > 0) & weights.isfinite())][0]
        raise ValueError(f"sample_weights: expected finite numbers of at least 0, got {float(wrong):g}")
