"""Group comparison on the CPU: the C++ core, one pass through a hash table."""

from __future__ import annotations

import torch

from progrm_fast import _C

__all__ = ["group_advantages"]


def group_advantages(
    scores: torch.Tensor,
    group_ids: torch.Tensor,
    mode: int,
    eps: float,
    correction: float,
    keep_singletons: bool,
    zero_constants: bool,
    out: torch.Tensor,
) -> None:
    """Write each score's advantage over its group."""
    _C.group_advantages(
        scores.data_ptr(),
        group_ids.data_ptr(),
        scores.shape[0],
        mode,
        eps,
        correction,
        keep_singletons,
        zero_constants,
        out.data_ptr(),
    )
