"""Every choice the annotator offers, in one record that names its defaults and has a hash."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import orjson

__all__ = ["CHOICES", "AnnotatorConfig", "MatchFunction", "SymbolFunction"]

SymbolFunction = Callable[[Mapping[str, Any]], str]
MatchFunction = Callable[[Sequence[str]], Iterable[tuple[int, int]]]

CHOICES: dict[str, tuple[str, ...]] = {
    "similarity": ("max", "min", "dice", "jaccard"),
    "recipe": ("profile", "strict"),
    "weights": ("uniform", "time"),
    "failure_credit": ("matched", "last"),
    "unfinished": ("failure", "none"),
}
_SHARES = ("mask_share", "text_threshold", "similarity_threshold", "min_support")


@dataclass(frozen=True, slots=True)
class AnnotatorConfig:
    """Options of ``ProgressAnnotator``. The defaults are those of the label-quality table in docs/labels.md.

    Attributes
    ----------
    fields : tuple of str, optional
        Fields of the action that make its symbol, dots entering objects (``target.id``); None: the whole action.
    screen_key : str, optional
        What of the screen is joined to the action, up to its first sentence end (``. : ; ! ?`` before a space) or line
        end: ``"result"`` (what the step led to), ``"observation"`` (what it was taken on), any other field of the
        step, or None.
    drop_repeats : bool
        A step that repeats the action before it and led to the same screen (its result, else the next observation;
        both must be known) is passed over: it can match nothing.
    mask_share : float
        A word counts when at least this share of a task's successful runs use it, others are masked; 0 masks nothing.
    mask_min_runs : int
        Words are masked where the successful runs of a task state different goals, or are at least so many: a word that
        one of two runs of the same goal lacks says little.
    symbol : callable, optional
        ``symbol(step) -> str`` makes the symbol instead of all options above.
    match : {"exact", "text"} or callable
        Which symbols match: equal ones; those whose texts are similar; or what ``match(texts) -> pairs (i, j)`` says of
        the distinct texts of a task. Pairs count both ways, and a text matches itself only where the pairs say so.
    text_threshold : float
        For ``match="text"``: least similarity (``rapidfuzz.fuzz.ratio`` / 100) of texts that match.
    similarity : {"max", "min", "dice", "jaccard"}
        Similarity of two runs of n and m steps with an LCS of l: l / max(n, m), l / min(n, m), 2 l / (n + m) or
        l / (n + m - l).
    similarity_threshold : float
        Average linkage stops merging clusters whose mean similarity is below this.
    max_members : int
        A task with more distinct successes clusters this many of them, those with the smallest content hash; the
        others support the recipe nearest to them.
    recipe : {"profile", "strict"}
        Steps that enough runs of a cluster share, or a longest common subsequence of all of them.
    min_support : float
        For ``recipe="profile"``: least share of a cluster's runs that take a key step.
    weights : {"uniform", "time"}
        Label of the k-th of R key steps: k / R, or the mean normalised time at which its supporters reached it.
    complete_success : bool
        The last step of a success is labelled 1.0.
    failure_credit : {"matched", "last"}
        A failure that matched k key steps is given the label of the k-th, so that key steps it went past are not paid
        for; or, as a success is, that of the last one matched.
    cap_failures : bool
        A failure stays at or below the last but one key step of its recipe.
    unfinished : {"failure", "none"}
        Runs with ``success`` None are labelled like failures, or not at all.
    min_successes : int
        Tasks with fewer successful runs give no label.
    """

    fields: tuple[str, ...] | None = None
    screen_key: str | None = "result"
    drop_repeats: bool = True
    mask_share: float = 0.75
    mask_min_runs: int = 5
    symbol: SymbolFunction | None = None
    match: Literal["exact", "text"] | MatchFunction = "exact"
    text_threshold: float = 0.8
    similarity: Literal["max", "min", "dice", "jaccard"] = "max"
    similarity_threshold: float = 0.4
    max_members: int = 2000
    recipe: Literal["profile", "strict"] = "profile"
    min_support: float = 0.6
    weights: Literal["uniform", "time"] = "time"
    complete_success: bool = True
    failure_credit: Literal["matched", "last"] = "matched"
    cap_failures: bool = True
    unfinished: Literal["failure", "none"] = "failure"
    min_successes: int = 1

    def __post_init__(self) -> None:
        for name in _SHARES:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
                raise ValueError(f"{name}: expected a number from 0 to 1, got {value!r}")
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name}: expected one of {', '.join(choices)}, got {getattr(self, name)!r}")
        for name in ("mask_min_runs", "max_members", "min_successes"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name}: expected an integer of at least 1, got {value!r}")
        if not callable(self.match) and self.match not in ("exact", "text"):
            raise ValueError(f"match: expected 'exact', 'text' or a function, got {self.match!r}")
        if self.symbol is not None and not callable(self.symbol):
            raise TypeError(f"symbol: expected a function of a step, got {type(self.symbol).__name__}")
        for name in ("drop_repeats", "complete_success", "cap_failures"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name}: expected True or False, got {getattr(self, name)!r}")
        if self.screen_key is not None and not isinstance(self.screen_key, str):
            raise ValueError(f"screen_key: expected a field name or None, got {self.screen_key!r}")
        names_are_text = self.fields is None or all(isinstance(name, str) for name in self.fields)
        if isinstance(self.fields, str) or (self.fields is not None and not self.fields) or not names_are_text:
            raise ValueError(f"fields: expected a sequence of field names or None, got {self.fields!r}")
        if self.fields is not None:
            object.__setattr__(self, "fields", tuple(self.fields))

    def to_json(self) -> dict[str, Any]:
        """Options by name, functions as ``module.name``."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_json(cls, options: Mapping[str, Any]) -> AnnotatorConfig:
        """Rebuild a configuration; one that used a Python function cannot be rebuilt from text.

        Raises
        ------
        ValueError
            For an unknown option, a value out of range, or a function's name.
        """
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(options) - known):
            raise ValueError(
                f"configuration: unknown option {', '.join(unknown)}; known: {', '.join(sorted(known))}"
            )
        if missing := sorted(known - set(options)):
            raise ValueError(f"configuration: missing option {', '.join(missing)}")
        return cls(**options)

    @property
    def hash(self) -> str:
        """First 12 hexadecimal digits of the SHA-256 of the options."""
        return hashlib.sha256(orjson.dumps(self.to_json(), option=orjson.OPT_SORT_KEYS)).hexdigest()[:12]


def _plain(value: Any) -> Any:
    if callable(value):
        # A partial, or an object that can be called, has no name of its own.
        named = value if hasattr(value, "__qualname__") else type(value)
        return f"{named.__module__}.{named.__qualname__}"
    return list(value) if isinstance(value, tuple) else value
