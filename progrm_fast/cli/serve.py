"""``progrm-fast serve``: a reward model as an HTTP server."""

from __future__ import annotations

import ipaddress
import os

import click

from progrm_fast.cli.options import missing_package, usable_device

__all__ = ["serve"]

_AT_LEAST_ONE = click.IntRange(1)


@click.command(context_settings={"show_default": True})
@click.argument("model", metavar="MODEL")
@click.option("--host", default="127.0.0.1", help="Address to listen on; there is no authentication.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, help="0 takes a free one.")
@click.option("--device", default="cpu", help="Where the model runs, such as cuda.")
@click.option(
    "--threads", type=_AT_LEAST_ONE, help="Threads of the model on the CPU. [default: torch's own choice]"
)
@click.option("--max-batch-steps", type=_AT_LEAST_ONE, default=1024, help="Steps scored together at most.")
@click.option(
    "--max-wait-ms", type=click.FloatRange(0), default=2.0, help="How long a request waits for others to join it."
)
@click.option("--max-body-bytes", type=_AT_LEAST_ONE, default=8 << 20, help="Larger requests are refused.")
@click.option("--max-trajectories", type=_AT_LEAST_ONE, default=1024, help="Most trajectories in a request.")
@click.option("--max-steps", type=_AT_LEAST_ONE, default=1024, help="Most steps in a trajectory.")
@click.option(
    "--step-separator", default="\\n", metavar="TEXT", help="Between the steps of a text sent to /get_reward."
)
def serve(
    model: str, host: str, port: int, device: str, threads: int | None, step_separator: str, **limits: float
) -> None:
    """Answer HTTP requests with the progress that the reward model in the folder MODEL predicts.

    POST /score takes {"trajectories": [{"goal": ..., "steps": [...]}]} and gives the progress after each step; POST
    /get_reward is what OpenRLHF calls. /docs shows both, /health and /ready tell the state. SIGTERM answers what was
    accepted, then stops.

    \b
    Examples:
      progrm-fast serve reward_model/
      curl localhost:8000/score -d '{"trajectories": [{"goal": "mail Ann", "steps": [{"action": "click Compose"}]}]}'
      python -m openrlhf.cli.train_ppo_ray --remote_rm_url http://127.0.0.1:8000/get_reward ...
    """
    try:
        import torch

        from progrm_fast.integrations.reward_server import ServerConfig
        from progrm_fast.integrations.reward_server import serve as run
        from progrm_fast.integrations.rollouts import make_scorer
        from progrm_fast.reward_model.model import quiet_transformers
    except ImportError as error:
        raise missing_package(error, "server,train") from error
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # steps are short: handing them to threads costs more
    quiet_transformers()
    separator = step_separator.replace("\\n", "\n").replace("\\t", "\t")
    config = ServerConfig(step_separator=separator, **limits)  # type: ignore[arg-type]  # click has checked them
    if threads is not None:
        torch.set_num_threads(threads)
    scorer = make_scorer({"model": model, "device": usable_device(device)})
    assert scorer is not None
    if not _is_loopback(host):
        click.echo(f"warning: {host} can be reached from other machines, and there is no authentication", err=True)
    run(scorer, host=host, port=port, config=config)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
