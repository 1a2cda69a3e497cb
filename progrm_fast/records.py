"""The arrows of the data flow: small frozen records that the stages hand to each other.

Modules of one layer never import each other; they meet here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["SymbolBatch"]


@dataclass(frozen=True, eq=False, slots=True)
class SymbolBatch:
    """A ragged batch of symbol sequences: sequence ``i`` is ``symbols[offsets[i]:offsets[i + 1]]``.

    Attributes
    ----------
    symbols : int32 array, shape (n_symbols,)
        All sequences, one after the other.
    offsets : int64 array, shape (n_sequences + 1,)
        Starts of the sequences; ``offsets[0] == 0`` and ``offsets[-1] == n_symbols``, never decreasing.

    Raises
    ------
    TypeError
        If a field is not an array of the stated dtype.
    ValueError
        If shapes or offsets do not fit together.
    """

    symbols: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        for name, dtype in (("symbols", np.int32), ("offsets", np.int64)):
            field = getattr(self, name)
            if not isinstance(field, np.ndarray) or field.dtype != dtype:
                got = field.dtype if isinstance(field, np.ndarray) else type(field).__name__
                raise TypeError(f"{name}: expected an array of {np.dtype(dtype)}, got {got}")
            if field.ndim != 1:
                raise ValueError(f"{name}: expected one dimension, got shape {field.shape}")
        offsets = self.offsets
        if offsets.size == 0 or offsets[0] != 0 or offsets[-1] != self.symbols.size:
            raise ValueError(
                f"offsets: expected to start at 0 and to end at {self.symbols.size} (the number of symbols), "
                f"got {offsets[:1].tolist()} ... {offsets[-1:].tolist()}"
            )
        if np.any(offsets[1:] < offsets[:-1]):
            raise ValueError("offsets: expected never to decrease")

    @classmethod
    def from_sequences(cls, sequences: Iterable[Sequence[int] | npt.NDArray[np.integer]]) -> SymbolBatch:
        """Pack integer sequences (lists, tuples or arrays; each may be empty) into one batch.

        Raises
        ------
        TypeError
            If a sequence is not one-dimensional or holds something other than integers.
        ValueError
            If a symbol does not fit into int32.
        """
        rows = [_as_int_array(sequence, i) for i, sequence in enumerate(sequences)]
        offsets = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum([row.size for row in rows], out=offsets[1:])
        flat = np.concatenate(rows) if rows else np.empty(0, dtype=np.int64)
        info = np.iinfo(np.int32)
        if flat.size and (flat.min() < info.min or flat.max() > info.max):
            raise ValueError(f"sequences: expected symbols that fit into int32, got {flat.min()} to {flat.max()}")
        return cls(flat.astype(np.int32), offsets)

    def __len__(self) -> int:
        return self.offsets.size - 1

    def __getitem__(self, index: int) -> npt.NDArray[np.int32]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"index: expected one of {len(self)} sequences, got {index}")
        index %= len(self)
        return self.symbols[self.offsets[index] : self.offsets[index + 1]]

    def __iter__(self) -> Iterator[npt.NDArray[np.int32]]:
        return (self[i] for i in range(len(self)))

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Length of each sequence, int64, shape (n_sequences,)."""
        return np.diff(self.offsets)


def _as_int_array(sequence: Sequence[int] | npt.NDArray[np.integer], index: int) -> npt.NDArray[np.integer]:
    row = np.asarray(sequence)
    if row.ndim != 1:
        raise TypeError(f"sequences[{index}]: expected one dimension, got shape {row.shape}")
    if row.size == 0:
        return np.empty(0, dtype=np.int64)
    if not np.issubdtype(row.dtype, np.integer):
        raise TypeError(f"sequences[{index}]: expected integers, got {row.dtype}")
    return row
