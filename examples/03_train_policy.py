"""The whole line on a phone of text screens: demonstrations, labels, reward models, reinforcement, a comparison.

A small language model learns to act from a noisy expert; then the same start is reinforced twice, with progress rewards
and with outcome rewards, at equal budgets. About four minutes on two cores. Run by ``make demo``:

    python examples/03_train_policy.py [FOLDER]
"""

import concurrent.futures
import json
import multiprocessing
import os
import shutil
import sys
import time
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import matplotlib as mpl
import matplotlib.pyplot as plt
import torch

from progrm_fast.reward_model.model import quiet_transformers
from progrm_fast.trainer.config import config_from_mapping
from progrm_fast.trainer.tasks import open_tasks
from progrm_fast.trainer.train_policy import main as train_policy
from progrm_fast.trainer.train_policy import start_actor

TEMPLATES = ("mail_reply", "mail_delete", "message_send", "article_author", "note_edit", "settings_two")
HELD_OUT = 4  # instances of each template, neither demonstrated nor trained on
OPTIONS = {
    "env": {
        "train": [f"{name}-{i}" for name in TEMPLATES for i in range(60 - 2 * HELD_OUT)],
        "test": [f"{name}-{60 + i}" for name in TEMPLATES for i in range(HELD_OUT)],
    },
    "demos": {"per_task": 6, "noise": 0.25},
    "sft": {"steps": 1000},
    "reward": {"demo_runs": 2, "actor_runs": 1, "epochs": 2},
    "rl": {"iterations": 16, "tasks": 96, "eval_iterations": 4, "eval_runs": 4, "eval_temperature": 1.0},
}


def start(folder: Path) -> None:
    """Record demonstrations and train the actor that both runs start from."""
    one_thread()
    config = config_from_mapping(OPTIONS)
    shutil.rmtree(folder, ignore_errors=True)
    start_actor(config, open_tasks(config.env), folder, progress_bar=sys.stderr.isatty())


def reinforce(kind: str, begun: Path, folder: Path) -> tuple[float, float]:
    """Reinforce the start with one kind of reward; return success on held-out tasks before and after."""
    one_thread()
    options = {
        **OPTIONS,
        "actor": {"path": str(begun / "sft" / "actor")},
        "demos": {"file": str(begun / "demos.jsonl.gz")},
        "sft": {"steps": 0},
        "reward": {**OPTIONS["reward"], "kind": kind},
    }
    shutil.rmtree(folder, ignore_errors=True)
    result = train_policy(config_from_mapping(options), folder)
    return result.before, result.after


def one_thread() -> None:
    """Models this small gain nothing from more."""
    torch.set_num_threads(1)
    quiet_transformers()


def draw(curves: dict[str, list[tuple[int, float]]], path: Path) -> None:
    """Draw success on held-out tasks over iterations."""
    mpl.use("Agg")
    figure, axis = plt.subplots(figsize=(6, 4), layout="constrained")
    for name, points in curves.items():
        axis.plot(*zip(*points, strict=True), marker="o", label=name)
    axis.set_xlabel("iteration")
    axis.set_ylabel("success on held-out tasks")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False)
    figure.savefig(path, dpi=120)


def main(folder: Path) -> None:
    """Run everything and write into ``folder``."""
    began = time.perf_counter()
    folder.mkdir(parents=True, exist_ok=True)
    print(f"Phone: {len(OPTIONS['env']['train'])} tasks to train on, {len(OPTIONS['env']['test'])} held out.")
    start(folder / "start")
    print(f"Supervised start on demonstrations of a noisy expert: {time.perf_counter() - began:.0f} s.")
    kinds = {"progrm-lcs": "progress rewards", "orm": "outcome rewards"}
    with concurrent.futures.ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        jobs = {kind: pool.submit(reinforce, kind, folder / "start", folder / kind) for kind in kinds}
        results = {kind: job.result() for kind, job in jobs.items()}
    n = OPTIONS["rl"]["iterations"] * OPTIONS["rl"]["tasks"]
    print(f"Reinforced with {n:,} episodes each, from the same start; success on held-out tasks:\n")
    print(f"{'':20}{'before':>10}{'after':>10}")
    for kind, (before, after) in results.items():
        print(f"{kinds[kind]:20}{before:>10.1%}{after:>10.1%}")
    curves = {}
    for kind, name in kinds.items():
        records = [json.loads(line) for line in (folder / kind / "metrics.jsonl").read_text().splitlines()]
        curves[name] = [(one["step"], one["evaluation"]["success"]) for one in records if "evaluation" in one]
    picture = folder / "success.png"
    draw(curves, picture)
    print(
        f"\nOne seed shows how it goes, not which is better: docs/training.md has the comparison.\nWrote {picture},"
    )
    print(f"  {folder}/progrm-lcs/ and {folder}/orm/: reward_model/, metrics.jsonl, curve.png, actor/")
    print(f"  {folder}/start/: demos.jsonl.gz, sft/actor/ ({time.perf_counter() - began:.0f} s in all)")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo_output/policy"))
