"""The base of every configuration: frozen, strict about names, addressable by dotted keys."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from modelyard.errors import ConfigError

FREE = "kwargs"
"""A field of this name takes whatever keys it is given."""


class Config(BaseModel):
    """A frozen value that crosses process borders as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    def flatten(self) -> dict[str, Any]:
        """Dotted key -> leaf value, in declaration order."""
        return dict(_leaves(self.model_dump(mode="json"), ""))

    def override(self, assignments: Sequence[str]) -> Self:
        """A copy with `dotted.key=value` assignments applied; values are JSON or plain text.

        Raises: ConfigError naming the dotted path and the nearest or legal choices.
        """
        tree = self.model_dump(mode="json")
        for assignment in assignments:
            key, separator, text = assignment.partition("=")
            if not separator:
                raise ConfigError(f"--set expects key=value, received {assignment!r}")
            _assign(tree, key.strip(), _parse(text.strip()), [*self.flatten(), *_free_keys(tree, "")])
        try:
            return type(self).model_validate(tree)
        except ValidationError as error:
            raise ConfigError(_describe(error)) from None


def _leaves(tree: dict[str, Any], prefix: str) -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for name, value in tree.items():
        if isinstance(value, dict):
            pairs += _leaves(value, f"{prefix}{name}.")
        else:
            pairs.append((f"{prefix}{name}", value))
    return pairs


def _free_keys(tree: dict[str, Any], prefix: str) -> list[str]:
    parts = {name: value for name, value in tree.items() if isinstance(value, dict)}
    below = [
        key for name, value in parts.items() if name != FREE for key in _free_keys(value, f"{prefix}{name}.")
    ]
    return [f"{prefix}{FREE}.NAME", *below] if FREE in parts else below


def _assign(tree: dict[str, Any], key: str, value: object, legal: list[str]) -> None:
    *parents, leaf = key.split(".")
    for parent in parents:
        tree = tree.get(parent) if isinstance(tree, dict) else None  # type: ignore[assignment]
    is_free = parents[-1:] == [FREE] and isinstance(tree, dict) and leaf.isidentifier()
    if key not in legal and not is_free:
        nearest = difflib.get_close_matches(key, legal, n=1, cutoff=0.5)
        hint = f"did you mean {nearest[0]}? " if nearest else ""
        raise ConfigError(f"unknown recipe key {key!r}: {hint}legal keys: {', '.join(legal)}")
    tree[leaf] = value


def _parse(text: str) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _describe(error: ValidationError) -> str:
    first = error.errors()[0]
    path = ".".join(str(part) for part in first["loc"])
    return f"{path}: {first['msg'].removeprefix('Value error, ')}; received {first['input']!r}"
