"""RESULTS.md, its pictures, and the measured blocks of docs/kernels, from the records: `make results`."""

from __future__ import annotations

from pathlib import Path

from progrm_fast.io.files import atomic_writer
from progrm_fast.testing.bench.pictures import draw
from progrm_fast.testing.bench.records import digest
from progrm_fast.testing.bench.results import BLOCKS, page, read_records, record_paths, with_block

ROOT = Path(__file__).resolve().parent.parent
RECORDS = ROOT / "benchmarks" / "results"


def texts() -> dict[Path, str]:
    """Every generated file, or file with a generated block, as it should be."""
    records = read_records(RECORDS)
    made = {ROOT / "benchmarks" / "RESULTS.md": page(records)}
    for name in BLOCKS:
        path = ROOT / "docs" / "kernels" / f"{name}.md"
        made[path] = with_block(path.read_text(), name, records)
    return made


def main() -> None:
    for path, text in texts().items():
        with atomic_writer(path) as stream:
            stream.write(text.encode())
    draw(read_records(RECORDS), RECORDS, digest(record_paths(RECORDS)))


if __name__ == "__main__":
    main()
