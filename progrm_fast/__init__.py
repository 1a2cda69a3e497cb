"""progrm_fast: dense progress rewards for GUI, web and tool agents.

trajectories -> symbols -> LCS -> recipes -> labels
    -> reward model -> progress -> rewards -> advantages -> policy update

Public names are imported on first use, so that ``import progrm_fast`` costs nothing: it loads neither NumPy nor
SciPy nor torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# public name -> module that defines it
_HOME = {
    "discounted_returns": "progrm_fast.kernels.scan",
    "gae": "progrm_fast.kernels.scan",
    "group_advantages": "progrm_fast.kernels.groups",
    "progress_advantages": "progrm_fast.kernels.steps",
    "progress_rewards": "progrm_fast.kernels.steps",
    "steps_to_tokens": "progrm_fast.kernels.steps",
    "token_kl": "progrm_fast.kernels.kl",
    "tokens_to_steps": "progrm_fast.kernels.steps",
    "whiten": "progrm_fast.kernels.whiten",
    "SymbolBatch": "progrm_fast.records",
}

__all__ = [
    "SymbolBatch",
    "__version__",
    "discounted_returns",
    "gae",
    "group_advantages",
    "progress_advantages",
    "progress_rewards",
    "steps_to_tokens",
    "token_kl",
    "tokens_to_steps",
    "whiten",
]

if TYPE_CHECKING:
    from progrm_fast.kernels.groups import group_advantages
    from progrm_fast.kernels.kl import token_kl
    from progrm_fast.kernels.scan import discounted_returns, gae
    from progrm_fast.kernels.steps import (
        progress_advantages,
        progress_rewards,
        steps_to_tokens,
        tokens_to_steps,
    )
    from progrm_fast.kernels.whiten import whiten
    from progrm_fast.records import SymbolBatch


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'progrm_fast' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
