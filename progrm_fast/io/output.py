"""Records into a file: JSON lines, or Parquet where the name says so."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from progrm_fast.io.containers import load_line
from progrm_fast.io.files import atomic_writer
from progrm_fast.io.jsonl import dump_line

__all__ = ["open_line_output", "open_output"]


@contextlib.contextmanager
def open_output(path: str | os.PathLike[str]) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Open ``path`` and give a function that writes one record; the file appears whole or not at all.

    Names ending in ``.parquet`` are written as Parquet, others as JSON lines (``.gz`` and ``.zst`` compress); ``-`` is
    standard output.

    Raises
    ------
    FileError
        If the file cannot be written.
    ValueError
        For Parquet without pyarrow, and for text that is not Unicode.
    """
    if not os.fspath(path).endswith(".parquet"):
        with atomic_writer(path) as stream:

            def write(record: Mapping[str, Any]) -> None:
                stream.write(dump_line(record))

            yield write
        return
    from progrm_fast.io.parquet import RecordWriter

    with atomic_writer(path) as stream, RecordWriter(stream) as writer:
        yield writer.write


@contextlib.contextmanager
def open_line_output(path: str | os.PathLike[str]) -> Iterator[Callable[[bytes], object]]:
    """Open ``path`` as ``open_output`` does, and give a function that writes a record's JSON line.

    Raises
    ------
    FileError
        If the file cannot be written.
    ValueError
        For Parquet without pyarrow, and for text that is not Unicode.
    """
    if os.fspath(path).endswith(".parquet"):
        with open_output(path) as write:
            yield lambda line: write(load_line(line))
    else:
        with atomic_writer(path) as stream:
            yield stream.write
