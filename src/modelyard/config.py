"""The base of every configuration: frozen, strict about names, addressable by dotted keys."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Any, Self, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from modelyard.errors import ConfigError

FREE = "kwargs"
"""A field of this name takes whatever keys it is given."""

NAME = "method"
"""A part with a field of this name may be given as its value alone."""


class Part(Enum):
    """What a field decides, in its `Annotated`; one without belongs to what is made."""

    MADE = "made"
    """The answer, by more than rounding: it is in the keys of steps."""
    HOW = "how"
    """Time, memory, rounding: in no key."""
    JUDGED = "judged"
    """What is said of a result: in no key."""


class Config(BaseModel):
    """A frozen value that crosses process borders as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    def flatten(self) -> dict[str, Any]:
        """Dotted key -> leaf value, in declaration order."""
        return dict(_leaves(self.model_dump(mode="json"), ""))

    def made(self) -> dict[str, Any]:
        """The fields that are `Part.MADE`, here and below, as JSON.

        Without those that are None: a new field that is None by default changes nothing.
        """
        tree = self.model_dump(mode="json")
        return {
            name: value.made() if isinstance(value, Config) else tree[name]
            for name, value in self
            if value is not None and name in fields_of(type(self), Part.MADE)
        }

    def override(self, assignments: Sequence[str]) -> Self:
        """A copy with `dotted.key=value` assignments applied; values are JSON or plain text.

        A part that is None is made from its defaults when a key below it is assigned; `part=null` takes it
        away. A part that has a `method` may be given as its name.
        Raises: ConfigError naming the dotted path and the nearest or legal choices.
        """
        tree, legal = self.model_dump(mode="json"), list(_keys(type(self), self, ""))
        for assignment in assignments:
            key, separator, text = assignment.partition("=")
            if not separator:
                raise ConfigError(f"--set expects key=value, received {assignment!r}")
            _assign(tree, key.strip(), _parse(text.strip()), legal)
        return _validated(type(self), tree)


AnyConfig = TypeVar("AnyConfig", bound=Config)


def fields_of(kind: type[Config], part: Part) -> list[str]:
    """The names of those that decide this."""
    marks = {
        name: next((mark for mark in field.metadata if isinstance(mark, Part)), Part.MADE)
        for name, field in kind.model_fields.items()
    }
    return [name for name, mark in marks.items() if mark is part]


def change(config: AnyConfig, **fields: object) -> AnyConfig:
    """A copy with other values of some fields, validated as a new one is. Raises: ConfigError."""
    return _validated(type(config), dict(config) | fields)


def _validated(kind: type[AnyConfig], fields: dict[str, Any]) -> AnyConfig:
    try:
        return kind.model_validate(fields)
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


def _keys(kind: type[Config], config: Config | None, prefix: str) -> Iterator[str]:
    """What may be assigned in `config`, or in one of this kind that is still to be made."""
    for name, field in kind.model_fields.items():
        part = getattr(config, name, None)
        below = [type(part)] if isinstance(part, Config) else list(_kinds(field.annotation))
        if name == FREE:
            yield f"{prefix}{FREE}.NAME"
        elif not below or type(None) in get_args(field.annotation):
            yield f"{prefix}{name}"
        for member in below:
            yield from _keys(member, part if isinstance(part, Config) else None, f"{prefix}{name}.")


def _kinds(annotation: Any) -> Iterator[type[Config]]:
    """The classes of `Config` of which a field may be one."""
    if isinstance(annotation, type) and issubclass(annotation, Config):
        yield annotation
    for argument in get_args(annotation):
        yield from _kinds(argument)


def _assign(tree: dict[str, Any], key: str, value: object, legal: list[str]) -> None:
    *parents, leaf = key.split(".")
    is_free = f"{'.'.join(parents)}.NAME" in legal and leaf.isidentifier()
    if not is_free and key not in legal:
        nearest = difflib.get_close_matches(key, legal, n=1, cutoff=0.5)
        hint = f"did you mean {nearest[0]}? " if nearest else ""
        raise ConfigError(f"unknown recipe key {key!r}: {hint}legal keys: {', '.join(legal)}")
    for depth, parent in enumerate(parents, 1):
        if not isinstance(before := tree.get(parent), dict):
            is_named = isinstance(before, str) and f"{'.'.join(parents[:depth])}.{NAME}" in legal
            tree[parent] = {NAME: before} if is_named else {}
        tree = tree[parent]
    tree[leaf] = value


def _parse(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # also a number or a list that is too long for Python
        return text


def _describe(error: ValidationError) -> str:
    first = error.errors()[0]
    path = ".".join(str(part) for part in first["loc"])
    return f"{path}: {first['msg'].removeprefix('Value error, ')}; received {first['input']!r}"
