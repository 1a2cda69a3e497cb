"""Gradients of scoring against finite differences, in float64."""

import pytest
import torch

from progrm_fast.kernels import score
from progrm_fast.kernels.score import progress_bce_loss, score_steps

INDEX = torch.tensor([0, 3, 9, 3, 4])  # row 3 ends two steps
CU_STEPS = torch.tensor([0, 2, 2, 5], dtype=torch.int32)


def leaves(heads, norm):
    generator = torch.Generator().manual_seed(heads)

    def random(*shape):
        return torch.randn(*shape, dtype=torch.float64, generator=generator, requires_grad=True)

    return random(2, 5, 4), random(heads, 4), random(heads), random(4) if norm else None, random(3)


@pytest.mark.parametrize(("heads", "norm", "minimum_share"), [(1, False, 0.0), (1, True, 0.0), (3, True, 0.3)])
def test_scores(heads, norm, minimum_share):
    def scores(hidden, weight, bias, norm_weight, initial):
        options = {"gamma": 0.9, "backend": "reference", "norm_weight": norm_weight, "initial_progress": initial}
        return tuple(
            score_steps(
                hidden, weight, bias, step_index=INDEX, cu_steps=CU_STEPS, minimum_share=minimum_share, **options
            )
        )

    assert torch.autograd.gradcheck(scores, leaves(heads, norm))


@pytest.mark.parametrize(("heads", "norm"), [(1, False), (1, True), (3, True)])
def test_loss(heads, norm):
    targets = torch.tensor([0.1, float("nan"), 0.4, 1.0, 0.7], dtype=torch.float64)
    weights = torch.tensor([1.0, 1.0, 0.0, 2.0, 0.5], dtype=torch.float64)

    def loss(hidden, weight, bias, norm_weight):
        options = {
            "targets": targets,
            "sample_weights": weights,
            "norm_weight": norm_weight,
            "backend": "reference",
        }
        return progress_bce_loss(hidden, weight, bias, step_index=INDEX, **options)

    assert torch.autograd.gradcheck(loss, leaves(heads, norm)[:4])


LOSS, SCORES = score._progress_bce, score._score_steps
OPTIONS = (None, 1e-6)  # no norm


def loss_by(op):
    return lambda hidden, weight: op(hidden, weight, None, INDEX, torch.rand(5), None, *OPTIONS, True, "auto")[0]


def scores_by(op):
    numbers = (None, 0.0, 0.9, 0.0, "auto")
    return lambda hidden, weight: op(hidden, weight, None, INDEX, CU_STEPS, *OPTIONS, *numbers)[2].sum()


@pytest.mark.parametrize("way", ["eager", "registered", "compiled"])
@pytest.mark.parametrize(("by", "op"), [(loss_by, LOSS), (scores_by, SCORES)], ids=["loss", "scores"])
def test_a_second_derivative_is_refused(by, op, way):
    function = by(op.op if way == "registered" else op)
    if way == "compiled":
        function = torch.compile(function, fullgraph=True, backend="aot_eager")
    hidden, weight = torch.randn(2, 5, 4, requires_grad=True), torch.randn(1, 4, requires_grad=True)
    (first,) = torch.autograd.grad(function(hidden, weight), hidden, create_graph=True)
    # A penalty on the gradient beside the loss: the loss alone must not be what is learnt from.
    with pytest.raises(RuntimeError, match=r"differentiate twice|double backward"):
        (function(hidden, weight) + first.square().sum()).backward()
