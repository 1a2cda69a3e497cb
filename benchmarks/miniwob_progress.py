"""Does RL with progress rewards help in a real browser? Success of an actor before and after, MiniWoB++ in Chromium.

    OMP_NUM_THREADS=1 python benchmarks/miniwob_progress.py --out RUNS
    OMP_NUM_THREADS=1 python benchmarks/miniwob_progress.py --out RUNS --tasks login-user,enter-password --episodes 200

Demonstrations of the scripted expert, a short supervised start, a reward model on labels by recipes
(``progrm-lcs``), reinforcement; then the actor of the start and the reinforced one act in episodes that neither has
seen. Success with its 95 % interval (Clopper-Pearson) for each task; the record is
benchmarks/results/miniwob_progress.json. A stopped run goes on with the same command.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import subprocess
import time
from collections import defaultdict
from pathlib import Path

import torch
from scipy.stats import binomtest

from progrm_fast.io.files import atomic_writer
from progrm_fast.reward_model.model import quiet_transformers
from progrm_fast.trainer.actor import Actor
from progrm_fast.trainer.config import config_from_mapping
from progrm_fast.trainer.rollout import Rollouts
from progrm_fast.trainer.tasks import open_tasks
from progrm_fast.trainer.train_policy import evaluate, main, reading_of

RECORD = Path(__file__).parent / "results" / "miniwob_progress.json"
TASKS = "enter-password,login-user,login-user-popup,search-engine"
OPTIONS = {
    "actor": {"hidden_size": 64, "layers": 3, "max_prompt_tokens": 192},
    "demos": {"per_task": 150, "noise": 0.05},
    "sft": {"steps": 600, "checkpoint_steps": 200},
    "reward": {"kind": "progrm-lcs", "demo_runs": 60, "actor_runs": 60, "epochs": 3, "field_tokens": 32},
    "rl": {
        "iterations": 40,
        "tasks": 4,
        "group": 12,
        "n_envs": 4,
        "checkpoint_iterations": 5,
        "learning_rate": 1e-3,
    },
}


def success(wins: list[bool]) -> dict[str, object]:
    """Return the share of wins and its 95 % interval."""
    interval = binomtest(sum(wins), len(wins)).proportion_ci(0.95, "exact")
    return {"mean": sum(wins) / len(wins), "ci95": [interval.low, interval.high], "episodes": len(wins)}


def judge(actor: Actor, rollouts: Rollouts, names: list[str], episodes: int, temperature: float, seed: int) -> dict:
    wins: dict[str, list[bool]] = defaultdict(list)
    for name, won in evaluate(actor, rollouts, names, runs=episodes, seed=seed, temperature=temperature):
        wins[name].append(won)
    return {name: success(wins[name]) for name in names}


def run(arguments: argparse.Namespace) -> None:
    names = arguments.tasks.split(",")
    options = {**OPTIONS, "seed": arguments.seed, "env": {"name": "miniwob", "train": names, "test": names}}
    config = config_from_mapping(options)
    folder = Path(arguments.out)
    torch.set_num_threads(1)
    quiet_transformers()
    started = time.perf_counter()
    main(config, folder, resume=(folder / "config.json").exists(), progress_bar=True)
    trained = time.perf_counter() - started
    source = open_tasks(config.env)
    rollouts = Rollouts(source.make_env, config.rl.n_envs, config.env.max_steps)
    table: dict[str, dict[str, dict]] = {}
    try:
        for temperature in (1.0, 0.0):
            for stage, place in (("sft", folder / "sft" / "actor"), ("progrm-lcs", folder / "actor")):
                actor = Actor.load(place, reading_of(config.actor))
                key = f"{stage}, {'sampled' if temperature else 'greedy'}"
                table[key] = judge(actor, rollouts, names, arguments.episodes, temperature, arguments.seed + 1)
                print(key, {name: round(one["mean"], 3) for name, one in table[key].items()}, flush=True)
    finally:
        rollouts.close()
        source.close()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    about = {
        "date": datetime.date.today().isoformat(),
        "commit": commit.stdout.strip(),
        "machine": platform.machine(),
        "torch": torch.__version__,
        "training_s": trained,
        "options": config.to_json(),
    }
    with atomic_writer(Path(arguments.json)) as stream:
        stream.write((json.dumps({"success": table, "about": about}, indent=1) + "\n").encode())
    print(f"wrote {arguments.json}")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, help="folder of the run")
    parser.add_argument("--tasks", default=TASKS)
    parser.add_argument("--episodes", type=int, default=200, help="evaluation episodes of each task")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", default=str(RECORD))
    return parser.parse_args()


if __name__ == "__main__":
    run(parse())
