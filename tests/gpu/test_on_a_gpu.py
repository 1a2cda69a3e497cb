"""What only a GPU can show. The differential tests run their Triton cases on the GPU too when there is one."""

import pytest
import torch

from progrm_fast.kernels.scan import gae
from progrm_fast.kernels.steps import progress_advantages
from progrm_fast.kernels.whiten import whiten
from progrm_fast.testing.cases import large_row_cases

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.mark.parametrize("case", large_row_cases(), ids=lambda case: case.name)
def test_large_cases_equal_the_cpu(case):
    options = {"gamma": case.gamma, "lam": case.lam, "whiten": True}
    expected = gae(case.rewards, case.values, last_values=case.last_values, **case.layout(), **options)
    case = case.to("cuda")
    got = gae(case.rewards, case.values, last_values=case.last_values, **case.layout(), **options)
    for result, wanted in zip(got, expected, strict=True):
        torch.testing.assert_close(result.cpu(), wanted, rtol=1e-4, atol=1e-4)


def test_a_very_long_row():
    rewards, values = torch.rand(2, 1, 131072, device="cuda").unbind()
    got, _ = gae(rewards, values, gamma=1.0, lam=1.0)
    expected, _ = gae(rewards.cpu(), values.cpu(), gamma=1.0, lam=1.0)
    assert (got.cpu() - expected).abs().max() <= 1e-4 * expected.abs().max()


def test_nothing_waits_for_the_device_and_a_graph_can_be_captured():
    rewards, values = torch.randn(2, 64, 300, device="cuda").unbind()
    mask = torch.rand(64, 300, device="cuda") > 0.3
    progress, ids = torch.rand(64, device="cuda"), torch.randint(-1, 64, (64, 300), device="cuda")
    cu_steps = torch.arange(0, 65, 4, dtype=torch.int32, device="cuda")

    def work():
        advantages, _ = gae(rewards, values, gamma=0.9, lam=0.9, mask=mask, whiten=True)
        return whiten(advantages, mask=mask) + progress_advantages(progress, cu_steps, ids)[0]

    work()  # compiles the kernels
    torch.cuda.set_sync_debug_mode("error")
    try:
        expected = work()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = work()
    graph.replay()
    torch.cuda.synchronize()
    torch.testing.assert_close(captured, expected)
