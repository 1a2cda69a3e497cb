"""The examples run, and write what they say."""

import subprocess
import sys
from pathlib import Path

import orjson

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


def test_annotate_example_writes_labels_recipes_and_a_picture(tmp_path):
    script = EXAMPLES / "01_annotate.py"
    done = subprocess.run([sys.executable, script, tmp_path], capture_output=True, text=True, check=True)
    lines = (tmp_path / "labelled.jsonl").read_bytes().splitlines()
    records = [orjson.loads(line) for line in lines]
    assert f"Read {len(records)} runs" in done.stdout
    assert all(record["annotation"]["recipe"] for record in records)
    assert all(0 <= step["progress"] <= 1 for record in records for step in record["steps"])
    assert orjson.loads((tmp_path / "recipes.json").read_bytes())["format"] == "progrm-fast recipes"
    assert (tmp_path / "progress.png").read_bytes().startswith(b"\x89PNG")
