"""How other libraries compute the same thing, for comparison: one file per peer, one signature.

Each module has ``NAME`` and functions ``gae(rewards, values, mask, gamma, lam) -> (advantages, returns)`` and,
where the peer has it, ``reinforce_plus_plus(rewards, mask, gamma) -> (advantages, returns)``, on fp32 (B, T).
The modules are written by us after the peers' documented behaviour, save where they call the peer itself; none
is fast or slow on purpose.
"""

from __future__ import annotations

import torch

__all__ = ["masked_whiten"]


def masked_whiten(x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Whiten with Bessel's correction and eps 1e-8 inside the root, by multiplying masks in, as the peers do."""
    n = mask.sum()
    mean = (x * mask).sum() / n
    variance = ((x - mean).square() * mask).sum() / (n - 1)
    return (x - mean) * torch.rsqrt(variance + 1e-8)
