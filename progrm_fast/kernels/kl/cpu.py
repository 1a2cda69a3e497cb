"""Kullback-Leibler estimates on the CPU: the C++ core."""

from __future__ import annotations

import torch

from progrm_fast import _C
from progrm_fast.kernels.views import flags, floats, max_threads

__all__ = ["token_kl"]


def token_kl(
    logp: torch.Tensor, ref_logp: torch.Tensor, mask: torch.Tensor | None, estimator: int, clip: float
) -> torch.Tensor:
    """Return k1, k2 or k3 of each token, 0 where masked."""
    out = torch.empty(logp.shape, dtype=torch.float32)
    n = logp.numel()
    _C.token_kl(floats(logp), floats(ref_logp), flags(mask), n, estimator, clip, out.data_ptr(), max_threads())
    return out
