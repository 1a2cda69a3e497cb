"""Whitening over two ranks equals whitening everything in one process, with one all-reduce."""

import socket

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from progrm_fast.kernels.scan import gae
from progrm_fast.kernels.whiten import whiten


def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    rewards = torch.randn(6, 50, generator=generator) + 3
    values = torch.randn(6, 50, generator=generator)
    mask = torch.rand(6, 50, generator=generator) > 0.4
    mask[4:] = False  # the second rank has two rows, one of them wholly masked
    mask[4, 7] = True
    return rewards, values, mask


def run_rank(rank: int, port: int, path: str) -> None:
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    calls = []
    original = dist.all_reduce
    dist.all_reduce = lambda *args, **kwargs: calls.append(1) or original(*args, **kwargs)
    rewards, values, mask = (x[:4] if rank == 0 else x[4:] for x in batch())
    group = dist.group.WORLD
    advantages, _ = gae(rewards, values, gamma=0.9, lam=0.8, mask=mask, whiten=True, group=group)
    whitened = whiten(rewards, mask=mask, group=group)
    torch.save((advantages, whitened, len(calls)), f"{path}/{rank}.pt")
    dist.destroy_process_group()


def test_two_gloo_processes_give_the_single_process_result(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    mp.spawn(run_rank, args=(port, str(tmp_path)), nprocs=2)
    parts = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    rewards, values, mask = batch()
    advantages, _ = gae(rewards, values, gamma=0.9, lam=0.8, mask=mask, whiten=True)
    torch.testing.assert_close(torch.cat([p[0] for p in parts]), advantages, rtol=0, atol=1e-6)
    torch.testing.assert_close(torch.cat([p[1] for p in parts]), whiten(rewards, mask=mask), rtol=0, atol=1e-6)
    assert [p[2] for p in parts] == [2, 2]  # one all-reduce per operation
