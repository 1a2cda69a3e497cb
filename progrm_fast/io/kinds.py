"""What a JSON value is, in the words that messages use."""

from __future__ import annotations

__all__ = ["kind_of"]

_KINDS = {
    type(None): "null",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "an object",
}


def kind_of(value: object) -> str:
    """Name the JSON type of a value."""
    return _KINDS.get(type(value), type(value).__name__)
