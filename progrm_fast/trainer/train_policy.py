"""Reinforce an actor with progress rewards: the whole line, from demonstrations to a better actor.

    progrm-fast train run.toml -o run/

1. demonstrations: the environment's scripted expert, or a recorded file     -> demos.jsonl.gz
2. the supervised start on the successful ones                              -> sft/
3. runs of that actor; labels; the reward model                             -> reward_model/
4. iterations: episodes, progress, advantages, clipped steps with a KL term  -> checkpoint/, metrics.jsonl, curve.png
5. the actor at the end                                                      -> actor/

A stopped run goes on with ``resume``: finished stages are read, the unfinished one goes on from its checkpoint, and the
result is that of the uninterrupted run, bit for bit on a CPU. Every choice is a function of the seed and of where the
run stands.

Left out, to stay readable: sharded models, asynchronous rollouts, several reward models, hyper-parameter schedules.
"""

from __future__ import annotations

import hashlib
import logging
import os
import random
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import torch

from progrm_fast.annotation.library import RecipeLibrary
from progrm_fast.envs.recording import record_episode
from progrm_fast.io.files import FileError, atomic_writer
from progrm_fast.io.folders import atomic_folder, settled_folder
from progrm_fast.records import Trajectory
from progrm_fast.reward_model.model import MODEL_FILE, ProgressRewardModel
from progrm_fast.trainer import distributed
from progrm_fast.trainer.actor import Actor, ActorConfig, build_actor
from progrm_fast.trainer.checkpoint import TrainingState, save_checkpoint
from progrm_fast.trainer.config import ActorSection, RunConfig
from progrm_fast.trainer.curves import draw_policy_curve
from progrm_fast.trainer.interrupts import Interrupts
from progrm_fast.trainer.metrics_log import MetricsLog
from progrm_fast.trainer.rewards import EpisodeReward, read_runs, refresh_reward, train_reward, write_runs
from progrm_fast.trainer.rollout import Episode, EpisodeSpec, Rollouts
from progrm_fast.trainer.runs import diverged, optimizer_of, resume_state
from progrm_fast.trainer.screens import spaced
from progrm_fast.trainer.sft import sft_examples, train_sft
from progrm_fast.trainer.tasks import TaskSource, open_tasks
from progrm_fast.trainer.update import (
    EpisodeSummary,
    NotFiniteError,
    UpdateStats,
    episode_returns,
    frozen_pass,
    update_actor,
)

__all__ = ["PolicyResult", "collect_demos", "evaluate", "main", "reinforce", "start_actor"]

logger = logging.getLogger(__name__)

# What a seed is for: numbers that keep the streams apart.
_DEMOS, _ACTOR_RUNS, _EPISODES, _EVALUATION, _TASKS, _REPLAY = 11, 12, 13, 14, 15, 16


@dataclass(frozen=True, slots=True)
class PolicyResult:
    """What came of a run.

    Attributes
    ----------
    iterations : int
    before, after : float
        Success of the SFT actor and of the reinforced one on the test tasks.
    episodes : int
        Episodes of the iterations, those of a resumed part included.
    """

    iterations: int
    before: float
    after: float
    episodes: int


def main(
    config: RunConfig, folder: str | os.PathLike[str], *, resume: bool = False, progress_bar: bool = False
) -> PolicyResult:
    """Run all stages, in the process group that torchrun describes if there is one.

    Parameters
    ----------
    config : RunConfig
    folder : path
    resume : bool
        Go on where the run in the folder stopped, if there is one.
    progress_bar : bool
        Show bars on standard error.

    Raises
    ------
    FileError
        If the folder cannot be written, holds a run already (without ``resume``) or one with other options.
    TrainingDivergedError
        If a loss is no number; the state before is saved.
    KeyboardInterrupt, SystemExit
        After SIGINT and SIGTERM: at the end of the iteration or step, with a checkpoint written.
    """
    place = Path(folder)
    with distributed.process_group():
        if distributed.rank() == 0:
            _write_config(place, config, resume)
        distributed.barrier()
        source = open_tasks(config.env)
        try:
            actor = start_actor(config, source, place, resume=resume, progress_bar=progress_bar)
            reward = make_reward(config, source, actor, place, resume=resume, progress_bar=progress_bar)
            return reinforce(actor, reward, config, source, place, resume=resume, progress_bar=progress_bar)
        finally:
            source.close()


def start_actor(
    config: RunConfig, source: TaskSource, place: Path, *, resume: bool = False, progress_bar: bool = False
) -> Actor:
    """Return the actor to reinforce: the one in ``sft/actor`` if it is there, else a new or given one after its SFT."""
    section = config.actor
    reading = reading_of(section)
    finished = settled_folder(place / "sft" / "actor")
    if finished.is_dir():
        return Actor.load(finished, reading)
    runs = demos(config, source, place) if config.sft.steps else []
    if section.path:
        actor = Actor.load(section.path, reading)
    else:
        actor = build_actor(
            [*source.words(), *_words(runs, section.word_share)],
            reading,
            seed=config.seed,
            stand_ins=section.word_share > 0,
            hidden_size=section.hidden_size,
            num_hidden_layers=section.layers,
            num_attention_heads=section.heads,
            num_key_value_heads=section.heads,
            intermediate_size=section.intermediate_size,
            initializer_range=section.init,
        )
    if config.sft.steps:
        made_with = {"kind": "sft", "options": config.to_json()["sft"], "data": _digest(runs)}
        examples = sft_examples(actor, runs)
        train_sft(
            actor,
            examples,
            config.sft,
            place / "sft",
            seed=config.seed,
            made_with=made_with,
            resume=resume,
            progress_bar=progress_bar,
        )
    _save_actor(actor, place / "sft" / "actor")
    return actor.eval()


def _words(runs: Sequence[Trajectory], share: float) -> list[str]:
    """Return the words that at least this share of some task's runs hold: an environment may not list all its words."""
    n_runs = Counter(run.task_id for run in runs)
    count = Counter(
        (run.task_id, word) for run in runs for word in {w for text in _texts(run) for w in spaced(text).split()}
    )
    return sorted({word for (task_id, word), n in count.items() if n >= share * n_runs[task_id]})


def _texts(run: Trajectory) -> Iterator[str]:
    """Return what an actor has to read and write in a run."""
    yield run.goal
    for step in run.steps:
        yield str(step["observation"])
        yield str(step["command"])


def reading_of(section: ActorSection) -> ActorConfig:
    """Return what an actor of these options reads and writes."""
    return ActorConfig(section.history, section.max_prompt_tokens, section.max_answer_tokens)


def demos(config: RunConfig, source: TaskSource, place: Path) -> list[Trajectory]:
    """Return the demonstrations, recorded once into the folder of the run."""
    if config.demos.file:
        return read_runs(config.demos.file)
    file = place / "demos.jsonl.gz"
    if distributed.rank() == 0 and not file.exists():
        write_runs(file, collect_demos(config, source))
    distributed.barrier()
    return read_runs(file)


def collect_demos(config: RunConfig, source: TaskSource) -> list[Trajectory]:
    """Let the environment's expert run each training task; an episode in which the environment raises is left out."""
    runs = []
    env = source.make_env()
    expert = source.expert(config.demos.noise)
    for k in range(config.demos.per_task):
        for task_id in source.train:
            seed = _seed(config.seed, _DEMOS, task_id, k)
            try:
                record = record_episode(env, expert, task_id, seed)
            except Exception as error:
                logger.warning("a demonstration of %s was left out: %r", task_id, error)
                env = source.make_env()
                continue
            runs.append(Trajectory(f"{task_id}/{k}", task_id, record["goal"], record["success"], record["steps"]))
    return runs


def make_reward(
    config: RunConfig,
    source: TaskSource,
    actor: Actor,
    place: Path,
    *,
    resume: bool = False,
    progress_bar: bool = False,
) -> EpisodeReward:
    """Return what scores episodes: a reward model that is read, or trained on demonstrations and runs of the actor."""
    section = config.reward
    if section.kind == "env":
        return EpisodeReward("env", None)
    if section.path:
        return EpisodeReward(section.kind, ProgressRewardModel.from_pretrained(section.path), section.window)
    folder = place / "reward_model"
    finished = (settled_folder(folder / "model") / MODEL_FILE).exists()
    if not distributed.gather(finished)[0]:  # as the first process sees it, which alone trains
        given = _given_runs(config, source, place)
        if distributed.rank() == 0:
            train_reward(
                [*given, *actor_runs(config, source, actor, place)],
                section,
                folder,
                words=source.words(),
                seed=config.seed,
                resume=resume,
                progress_bar=progress_bar,
            )
    distributed.barrier()
    return EpisodeReward(section.kind, ProgressRewardModel.from_pretrained(folder), section.window)


def actor_runs(config: RunConfig, source: TaskSource, actor: Actor, place: Path) -> list[Trajectory]:
    """Return runs of the SFT actor at the training tasks, recorded once into the folder of the run."""
    file = place / "actor_runs.jsonl.gz"
    if not config.reward.actor_runs:
        return []
    if not file.exists():
        rollouts = Rollouts(source.make_env, config.rl.n_envs, config.env.max_steps)
        specs = [
            EpisodeSpec(task_id, _seed(config.seed, _ACTOR_RUNS, task_id, k))
            for k in range(config.reward.actor_runs)
            for task_id in source.train
        ]
        episodes = rollouts.run(actor, specs, temperature=config.rl.temperature)
        rollouts.close()
        done = [(i, episode) for i, episode in enumerate(episodes) if episode is not None and episode.steps]
        write_runs(file, [episode.trajectory(f"actor/{i}") for i, episode in done])
    return read_runs(file)


def _given_runs(config: RunConfig, source: TaskSource, place: Path) -> list[Trajectory]:
    """Return the demonstrations that the reward model learns from; all processes call this."""
    given = demos(config, source, place) if config.demos.file or config.demos.per_task else []
    return _first_of_each(given, config.reward.demo_runs)


def _first_of_each(runs: Sequence[Trajectory], n: int) -> list[Trajectory]:
    """Return the first ``n`` runs of each task; all for 0."""
    seen: dict[str, int] = {}
    kept = []
    for run in runs:
        seen[run.task_id] = seen.get(run.task_id, 0) + 1
        if not n or seen[run.task_id] <= n:
            kept.append(run)
    return kept


def evaluate(
    actor: Actor,
    rollouts: Rollouts,
    names: Sequence[str],
    *,
    runs: int,
    seed: int,
    temperature: float = 0.0,
) -> list[tuple[str, bool]]:
    """Run the actor at each task; return (task, success) for every episode that was not dropped, for all processes.

    Parameters
    ----------
    names : sequence of str
    runs : int
        Episodes of each task.
    seed : int
    temperature : float
        0 takes the most probable token.
    """
    specs = [EpisodeSpec(name, _seed(seed, _EVALUATION, name, k)) for name in names for k in range(runs)]
    mine = specs[distributed.rank() :: distributed.world_size()]
    episodes = rollouts.run(actor, mine, temperature=temperature or None)
    found = [(one.spec.task_id, one.success) for one in episodes if one is not None]
    return [pair for part in distributed.gather(found) for pair in part]


def reinforce(
    actor: Actor,
    reward: EpisodeReward,
    config: RunConfig,
    source: TaskSource,
    place: Path,
    *,
    resume: bool = False,
    progress_bar: bool = False,
) -> PolicyResult:
    """Run the iterations; see the module and ``main``."""
    from tqdm import tqdm

    rl = config.rl
    reference = _reference(actor) if rl.kl > 0 else None
    if rl.algorithm == "ppo":
        actor.add_critic()
    optimizer = optimizer_of(actor, rl.learning_rate)
    options = config.to_json()
    del options["rl"]["iterations"]  # a run may be made longer
    made_with = {"kind": "policy", "options": options}
    state = resume_state(place, made_with, actor, optimizer, resume)
    main_process = distributed.rank() == 0
    rollouts = Rollouts(source.make_env, rl.n_envs, config.env.max_steps)
    library = _refreshed(reward, config, place, state.step)
    known: list[Trajectory] = []
    if config.reward.refresh_iterations and config.reward.refresh_replay:
        known = [*_given_runs(config, source, place), *actor_runs(config, source, actor, place)]
    with (
        MetricsLog(place / "metrics.jsonl" if main_process else Path(os.devnull), state.step) as log,
        Interrupts() as interrupts,
        tqdm(
            total=rl.iterations, initial=state.step, desc="rl", disable=not (progress_bar and main_process)
        ) as bar,
    ):

        def judge(step: int) -> float:
            pairs = evaluate(
                actor, rollouts, source.test, runs=rl.eval_runs, seed=config.seed, temperature=rl.eval_temperature
            )
            success = sum(won for _, won in pairs) / max(1, len(pairs))
            if main_process:
                log.write({"step": step, "evaluation": {"success": success, "episodes": len(pairs)}})
            return success

        for iteration in range(state.step, rl.iterations):
            if iteration == 0:
                judge(0)
            for group in optimizer.param_groups:
                group["lr"] = rl.learning_rate * min(1, (iteration + 1) / max(1, rl.warmup_iterations))
            try:
                record, episodes = _iterate(
                    actor, optimizer, reference, reward, rollouts, config, source, iteration
                )
            except NotFiniteError as error:
                state = TrainingState(iteration, None, made_with)
                raise diverged(place, actor, optimizer, state, error.loss, error.norm, "iteration") from None
            done = iteration + 1
            if main_process:
                log.write({"step": done, **record})
            bar.set_postfix(success=f"{record['success']:.2f}", reward=f"{record['reward']:.3f}", refresh=False)
            bar.update()
            if rl.eval_iterations and done % rl.eval_iterations == 0 and done < rl.iterations:
                judge(done)
            due = rl.checkpoint_iterations and done % rl.checkpoint_iterations == 0
            if config.reward.refresh_iterations and done % config.reward.refresh_iterations == 0:
                library = _refresh(reward, episodes, library, known, config, place, done)
                due = True
            if main_process and (due or interrupts.number or done == rl.iterations):
                save_checkpoint(place / "checkpoint", actor, optimizer, TrainingState(done, None, made_with))
            if interrupts.number and done < rl.iterations:
                interrupts.leave(
                    f"stopped after iteration {done} of {rl.iterations}; {place / 'checkpoint'} is written"
                )
        # The first process alone has a log; all must agree on whether to evaluate once more.
        evaluations = {one["step"]: one["evaluation"]["success"] for one in log.records if "evaluation" in one}
        evaluations = distributed.gather(evaluations)[0]
        after = evaluations.get(rl.iterations)
        if after is None:
            after = judge(rl.iterations)
        before = evaluations.get(0, after)
        n_episodes = sum(int(one["episodes"]) for one in log.records if "episodes" in one)
        if main_process:
            draw_policy_curve(log.records, place / "curve.png")
    rollouts.close()
    _save_actor(actor, place / "actor")
    return PolicyResult(rl.iterations, before, after, n_episodes)


def _iterate(
    actor: Actor,
    optimizer: torch.optim.Optimizer,
    reference: Actor | None,
    reward: EpisodeReward,
    rollouts: Rollouts,
    config: RunConfig,
    source: TaskSource,
    iteration: int,
) -> tuple[dict[str, Any], list[tuple[int, Episode]]]:
    """One iteration; return its record and this process's episodes."""
    started = time.perf_counter()
    rl = config.rl
    spent, dropped = dict(rollouts.seconds), rollouts.dropped
    specs = _specs(config, source.train, iteration)
    numbers = range(distributed.rank(), len(specs), distributed.world_size())
    found = rollouts.run(actor, [specs[i] for i in numbers], temperature=rl.temperature)
    mine = [(i, one) for i, one in zip(numbers, found, strict=True) if one is not None and one.steps]
    episodes = [one for _, one in mine]

    before = time.perf_counter()
    progress = reward(episodes) if episodes else []
    reference_logp = frozen_pass(reference, episodes, rl)[0] if reference is not None and episodes else None
    values = frozen_pass(actor, episodes, rl)[1] if actor.value is not None and episodes else None
    model_seconds = time.perf_counter() - before
    summaries = [
        EpisodeSummary(
            index=i,
            group=i // rl.group,
            success=one.success,
            progress=progress[k],
            values=None if values is None else values[k],
            answer_tokens=np.array([len(step.answer) for step in one.steps], dtype=np.int64),
        )
        for k, (i, one) in enumerate(mine)
    ]
    everyone = sorted((one for part in distributed.gather(summaries) for one in part), key=lambda one: one.index)
    lost = sum(distributed.gather(rollouts.dropped - dropped))
    if not everyone:
        raise RuntimeError(f"iteration {iteration + 1}: the environment raised in all {len(specs)} episodes")
    if reference is not None and reference_logp is None:
        reference_logp = []
    stats: UpdateStats = update_actor(
        actor, optimizer, mine, everyone, reference_logp, rl, [config.seed, iteration]
    )
    seconds = {name: rollouts.seconds[name] - spent[name] for name in spent}
    record = {
        "reward": float(np.mean(episode_returns(everyone))),
        "success": float(np.mean([one.success for one in everyone])),
        "episodes": len(everyone),
        "dropped": lost,
        "steps": int(sum(len(one.answer_tokens) for one in everyone)),
        "loss": stats.loss,
        "kl": stats.kl,
        "clipped": stats.clipped_share,
        "value_loss": stats.value_loss,
        "grad_norm": stats.grad_norm,
        "seconds": {
            "all": time.perf_counter() - started,
            "env": seconds["env"],
            "model": seconds["model"] + model_seconds + stats.model_seconds,
        },
    }
    return record, mine


def _specs(config: RunConfig, names: Sequence[str], iteration: int) -> list[EpisodeSpec]:
    """Return the episodes of an iteration: tasks without repetition until all had their turn, each ``group`` times."""
    numbers = range(iteration * config.rl.tasks, (iteration + 1) * config.rl.tasks)
    orders = {}
    for turn in {k // len(names) for k in numbers}:
        orders[turn] = list(names)
        random.Random(_seed(config.seed, _TASKS, turn)).shuffle(orders[turn])
    return [
        EpisodeSpec(orders[k // len(names)][k % len(names)], _seed(config.seed, _EPISODES, k, member))
        for k in numbers
        for member in range(config.rl.group)
    ]


def _reference(actor: Actor) -> Actor:
    """Return a frozen copy of the actor as it is: what the divergence is measured from."""
    import copy

    reference = copy.deepcopy(actor)
    reference.requires_grad_(False)
    return reference.eval()


def _refresh(
    reward: EpisodeReward,
    mine: Sequence[tuple[int, Episode]],
    library: RecipeLibrary | None,
    known: Sequence[Trajectory],
    config: RunConfig,
    place: Path,
    done: int,
) -> RecipeLibrary | None:
    """Grow the recipes by this iteration's successes and train the reward model on its episodes and some known runs."""
    parts = distributed.gather([(i, one.spec.task_id, one.goal, one.success, _records(one)) for i, one in mine])
    runs = [
        Trajectory(f"rl/{done}/{i}", task_id, goal, success, steps)
        for i, task_id, goal, success, steps in sorted(
            (one for part in parts for one in part), key=lambda one: one[0]
        )
    ]
    folder = _refresh_folder(place, done)
    if distributed.rank() == 0:
        shutil.rmtree(folder, ignore_errors=True)  # of a run that stopped before its checkpoint
        assert reward.model is not None
        chosen = random.Random(_seed(config.seed, _REPLAY, done))
        n_known = min(len(known), round(config.reward.refresh_replay * len(runs)))
        library = refresh_reward(
            reward.model,
            runs,
            config.reward,
            folder,
            library,
            known=chosen.sample(known, n_known),
            seed=config.seed + done,
        )
    distributed.barrier()
    reward.model = ProgressRewardModel.from_pretrained(folder)
    return library


def _refreshed(reward: EpisodeReward, config: RunConfig, place: Path, step: int) -> RecipeLibrary | None:
    """Put the reward model as of an iteration in place and return its recipes, if there are any."""
    every = config.reward.refresh_iterations
    if not every:
        return None
    last = step // every * every
    folder = _refresh_folder(place, last) if last else place / "reward_model"
    if last:
        reward.model = ProgressRewardModel.from_pretrained(folder)
    recipes = folder / "recipes.json"
    return RecipeLibrary.load(recipes) if recipes.exists() else None


def _refresh_folder(place: Path, done: int) -> Path:
    return place / "reward_model" / f"after-{done}"


def _records(episode: Episode) -> list[dict[str, Any]]:
    return [step.record for step in episode.steps]


def _save_actor(actor: Actor, folder: Path) -> None:
    if distributed.rank() == 0:
        with atomic_folder(folder, "config.json") as temporary:
            actor.save(temporary)
    distributed.barrier()


def _write_config(place: Path, config: RunConfig, resume: bool) -> None:
    file = place / "config.json"
    ours = config.to_json()
    if file.exists():
        if not resume:
            raise FileError(f"{place}: holds a training run already: resume it, or choose another folder")
        try:
            theirs = orjson.loads(file.read_bytes())
        except orjson.JSONDecodeError as error:
            raise FileError(f"{file}: not a configuration: {error}") from None
        differ = [
            f"{section}.{name}={value!r}, got {ours[section][name]!r}"
            for section, options in theirs.items()
            if isinstance(options, dict)
            for name, value in options.items()
            if ours.get(section, {}).get(name) != value and (section, name) != ("rl", "iterations")
        ]
        if theirs.get("seed") != config.seed:
            differ.append(f"seed={theirs.get('seed')!r}, got {config.seed}")
        if differ:
            raise FileError(f"{place}: expected the options of the run to resume: {'; '.join(differ)}")
    elif resume and not place.exists():
        raise FileError(f"{place}: cannot be resumed: there is no such run")
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"{place}: cannot be written: {error.strerror or error}") from error
    with atomic_writer(file) as stream:
        stream.write(orjson.dumps(ours, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def _digest(runs: Sequence[Trajectory]) -> str:
    content = hashlib.sha256()
    for run in runs:
        content.update(orjson.dumps([run.trajectory_id, run.success, list(run.steps)]))
    return content.hexdigest()


def _seed(*parts: object) -> int:
    """Return a number below 2**31 that is a function of the parts."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:4], "big") >> 1
