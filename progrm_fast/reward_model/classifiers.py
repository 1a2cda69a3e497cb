"""The heads of transformers' classification models, recognised by their parts and by what those parts compute."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch import nn
from torch.nn import functional

__all__ = ["ACTIVATIONS", "classifier_parts"]

ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "gelu": functional.gelu,
    "gelu_new": partial(functional.gelu, approximate="tanh"),
    "relu": functional.relu,
    "silu": functional.silu,
    "tanh": torch.tanh,
}

_PROBES = 64
_NEAR = 1e-5  # between fp32 forms of one activation; gelu and gelu_new differ by up to 5e-4


def classifier_parts(model: nn.Module) -> tuple[nn.Linear, nn.Linear | None, str]:
    """Return the last projection, the layer before it if there is one, and the activation between them.

    Classes of one form differ in their activation (RoBERTa's head has tanh, ELECTRA's of the same form gelu), so it
    is found by running a copy of the part on random numbers.

    Raises
    ------
    TypeError
        If the head has another form, or further layers.
    """
    base = getattr(model, "base_model", None)
    head = getattr(model, "score", None) or getattr(model, "classifier", None)
    pre = getattr(model, "pre_classifier", None)
    pooler = getattr(model, "pooler", None) or getattr(base, "pooler", None)
    others = [part for part in model.children() if part not in (base, head, pre, pooler) and _has_weights(part)]
    if others:
        raise _unknown(model, f", which has a layer of its own: {type(others[0]).__name__}")
    if not isinstance(head, nn.Linear):
        name = [name for name, _ in head.named_children()][-1] if isinstance(head, nn.Sequential) else "out_proj"
        last = getattr(head, name, None)
        if not isinstance(head, nn.Module) or not isinstance(last, nn.Linear):
            raise _unknown(model)
        if isinstance(head, nn.Sequential):
            if any(isinstance(part, nn.Module) and _has_weights(part) for part in (pre, pooler)):
                raise _unknown(model, ", which has layers both in a Sequential and before it")
            if all(isinstance(part, nn.Dropout) for part in list(head)[:-1]):
                return last, None, "gelu"
        first = _only_layer(model, [layer for layer in head.modules() if layer is not last])
        without_last = copy.deepcopy(head)
        setattr(without_last, name, nn.Identity())
        return last, first, _activation_of(model, without_last)
    if isinstance(pre, nn.Linear):
        return head, pre, "relu"
    # The backbone of a token classifier may bring a pooler that nobody asks.
    if pooler is None or not _has_weights(pooler) or type(model).__name__.endswith("ForTokenClassification"):
        return head, None, "gelu"
    first = _only_layer(model, pooler.modules())
    if pooler is first:
        pooler = nn.Sequential(pooler, getattr(base, "pooler_activation", nn.Identity()))
    return head, first, _activation_of(model, copy.deepcopy(pooler))


def _only_layer(model: nn.Module, parts: Iterable[nn.Module]) -> nn.Linear:
    """Return the one Linear among the parts, which must be alone in having weights."""
    weighted = [part for part in parts if next(part.parameters(recurse=False), None) is not None]
    if len(weighted) != 1 or not isinstance(weighted[0], nn.Linear):
        raise _unknown(model, ", whose head is not one or two layers")
    return weighted[0]


def _activation_of(model: nn.Module, part: nn.Module) -> str:
    """Name the function that ``part``, a copy of one Linear and an activation, applies; its weights are overwritten."""
    layer = _only_layer(model, part.float().cpu().eval().modules())
    generator = torch.Generator().manual_seed(0)
    width = layer.in_features
    rows = 2 * torch.randn(_PROBES, 1, width, generator=generator, dtype=torch.float32)
    with torch.no_grad():
        # Not its own weights, which may be 0 and tell nothing.
        layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator) / width**0.5)
        got, inner = part(rows).reshape(_PROBES, -1), layer(rows[:, 0])
    for name, function in ACTIVATIONS.items():
        if got.shape == inner.shape and (got - function(inner)).abs().max() <= _NEAR:
            return name
    raise _unknown(model, f", whose activation is not one of {', '.join(ACTIVATIONS)}")


def _has_weights(part: nn.Module) -> bool:
    return next(part.parameters(), None) is not None


def _unknown(model: nn.Module, why: str = "") -> TypeError:
    return TypeError(
        "model: expected a classification head (score or classifier, with or without a layer before it), got "
        f"{type(model).__name__}{why}"
    )
