"""Other libraries behind one signature, one file each.

Every module has ``NAME`` and these functions. Each converts the data to what the library likes best and returns the
calls to be timed, by label; a call returns the library's own result.

- ``all_pairs(batch)``: LCS lengths of all pairs, a matrix
- ``groups(batch, group_offsets)``: a matrix per group
- ``alignments(a, b)``: the matched positions of every pair, or None where the library has no such thing
"""

from __future__ import annotations

import importlib
from types import ModuleType

__all__ = ["LCS_PEERS", "lcs_peer"]

LCS_PEERS = ("rapidfuzz_strings", "rapidfuzz_ints")


def lcs_peer(name: str) -> ModuleType:
    """Import a peer.

    Raises
    ------
    ImportError
        If the library it wraps is not installed.
    """
    return importlib.import_module(f"{__name__}.{name}")
