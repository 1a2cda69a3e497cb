"""``progrm-fast annotate``: label a file of trajectories with progress."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any

import click

from progrm_fast._gc import paused_gc
from progrm_fast.annotation.library import RecipeLibrary
from progrm_fast.cli.bars import bar
from progrm_fast.cli.options import CONFIG_OPTIONS, READING_OPTIONS, annotator_of, options, pop_reading
from progrm_fast.io.files import display_name
from progrm_fast.io.jsonl import labelled_record, read_trajectories
from progrm_fast.io.output import open_output
from progrm_fast.records import ProgressLabels, Trajectory

__all__ = ["annotate"]


@click.command(context_settings={"show_default": True})
@click.argument("input", metavar="IN")
@click.option("-o", "--output", required=True, help="Where to write; .gz and .zst compress, - is standard output.")
@click.option(
    "--recipes",
    metavar="FILE",
    help="Label with the recipes in FILE; while it does not exist, learn them from IN and write them to it.",
)
@click.option(
    "--workers", type=click.IntRange(1), default=1, help="Threads; the labels are the same for any number."
)
@click.option("--quiet", is_flag=True, help="No progress bar and no closing summary.")
@options(READING_OPTIONS)
@options(CONFIG_OPTIONS)
@click.pass_context
@paused_gc()  # to the end, when the records are gone again
def annotate(
    ctx: click.Context,
    /,
    input: str,
    output: str,
    recipes: str | None,
    workers: int,
    quiet: bool,
    **chosen: Any,
) -> None:
    """Label every step of the trajectories in IN with progress, 0 to 1.

    IN is JSONL (plain, gzip or zstd; - is standard input): one object a line with trajectory_id, task_id, success and
    steps, each with an action; or records of another format (--from): chat messages, tau-bench, conversations, ... A
    JSON array, Parquet, or a folder of files will do too. The output has the same records in the same order; each
    step gains `progress` and `key_step`, each trajectory an `annotation`.

    \b
    Examples:
      progrm-fast annotate runs.jsonl.gz -o labelled.jsonl.gz
      progrm-fast annotate runs.jsonl -o - --recipe strict --weights uniform | head
      progrm-fast annotate web.jsonl -o out.jsonl --fields type,target.id,target.text
      progrm-fast annotate chats.jsonl -o out.jsonl --success-field reward --success-threshold 1
      progrm-fast annotate results.json -o labelled.parquet --from tau-bench
      progrm-fast annotate runs.jsonl -o out.jsonl --recipes recipes.json  # learns, and keeps what it learned
      progrm-fast annotate new.jsonl -o new_out.jsonl --recipes recipes.json  # labels with it
    """
    started = time.perf_counter()
    reading = pop_reading(chosen)
    if recipes and os.path.realpath(recipes) == os.path.realpath(output):
        raise ValueError(f"--recipes: expected another file than the labels', got {recipes!r} for both")
    learn = recipes is None or not os.path.lexists(recipes)
    annotator = annotator_of(ctx, None if learn else recipes, chosen, workers)
    skipped: list[str] = []
    source = read_trajectories(input, **reading, skipped=skipped)
    # The output first: a place that cannot be written is better known early.
    with open_output(output) as write:
        try:
            trajectories = list(bar(source, "read", quiet))
        finally:
            for message in skipped:
                click.echo(f"left out: {message}", err=True)
        labels = annotator.fit_annotate(trajectories) if learn else annotator.annotate(trajectories)
        config_hash = annotator.config.hash
        for trajectory, label in zip(bar(trajectories, "write", quiet), labels, strict=True):
            write(labelled_record(trajectory, label, config_hash, reading["source"]))
        if learn and recipes is not None:  # before the labels take their place, so that a failure leaves neither
            annotator.library.save(recipes)
    if not quiet:
        seconds = time.perf_counter() - started
        click.echo(_summary(trajectories, labels, annotator.library, len(skipped), seconds), err=True)
        if learn and recipes is not None:
            click.echo(f"learned these recipes from {display_name(input)} and wrote them to {recipes}", err=True)


def _summary(
    trajectories: Sequence[Trajectory],
    labels: Sequence[ProgressLabels],
    library: RecipeLibrary,
    n_skipped: int,
    seconds: float,
) -> str:
    task_ids = {trajectory.task_id for trajectory in trajectories}
    used = [library.tasks[task_id].recipes for task_id in task_ids if task_id in library.tasks]
    recipes = [recipe for of_task in used for recipe in of_task]
    single = {recipe.recipe_id for recipe in recipes if recipe.n_successes == 1}
    labelled = [label for label in labels if label.recipe is not None]
    on_single = sum(label.recipe in single for label in labelled)
    n_steps = sum(len(trajectory.steps) for trajectory in trajectories)
    rows = [
        ("trajectories", f"{len(trajectories):,}" + (f" ({n_skipped:,} bad lines left out)" if n_skipped else "")),
        ("tasks", f"{len(task_ids):,}"),
        ("tasks without a success", f"{len(task_ids) - sum(bool(of_task) for of_task in used):,}"),
        ("labelled", f"{len(labelled):,}"),
        ("resting on a single success", f"{on_single / max(len(labelled), 1):.1%} of the labelled"),
        ("recipes", f"{len(recipes):,}"),
        ("mean recipe length", f"{sum(map(len, recipes)) / max(len(recipes), 1):.1f} key steps"),
        ("steps per second", f"{n_steps / seconds:,.0f}"),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)
