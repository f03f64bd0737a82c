"""A step of the pipeline, and one occurrence of it: a folder named by the digest of what it depends on."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from modelyard.config import Config
from modelyard.files import sha256_of_json
from modelyard.home import Home
from modelyard.steps.closure import code_digest, members_of


@dataclass(frozen=True, slots=True)
class Package:
    """A library whose version decides what a step makes."""

    name: str
    parts: int | None = None
    """How many numbers of the version count; None: all of it, with its local part."""
    other: str = ""
    """The name under which it is installed where `name` is not."""

    @property
    def installed(self) -> str:
        """The exact version. Raises: importlib.metadata.PackageNotFoundError."""
        return _installed(self.name, self.other or self.name)

    @property
    def counted(self) -> str:
        """What of the version is in a key."""
        if self.parts is None:
            return self.installed
        return ".".join(self.installed.partition("+")[0].split(".")[: self.parts])


@dataclass(frozen=True, slots=True)
class Step:
    """A kind of work: which module does it, and what of a request it depends on."""

    name: str
    title: str
    """As a person reads it."""
    body: str = ""
    """Module with `run(slice, given, out, how)`; empty: the folder is named by its content."""
    packages: tuple[Package, ...] = ()
    is_exclusive: bool = False
    """Whether it waits until the device (or its share of the CPU) is free."""
    accuracy: str = "validation"
    """What the accuracy is, that each epoch of it tells."""

    def node(self, slice: Config, parents: tuple[Node, ...]) -> Node:
        """This step on these values and what these steps make."""
        code = code_digest(self.body, members_of(slice))
        versions = {package.name: package.counted for package in self.packages}
        depends = [self.name, slice.made(), [parent.identity for parent in parents], code, versions]
        return Node(self, slice, parents, sha256_of_json(depends)[:16], code=code)


@dataclass(frozen=True, slots=True)
class Node:
    """One occurrence of a step."""

    step: Step
    slice: Config
    parents: tuple[Node, ...]
    key: str
    code: str = ""
    content: str = field(default="", kw_only=True)
    """Digest of what it holds, where that is known before the work."""

    @property
    def name(self) -> str:
        """The folder below `steps/`."""
        return f"{self.step.name}-{self.key}"

    @property
    def identity(self) -> str:
        """How it enters the keys of those that are made from it."""
        return self.content or self.key

    def folder(self, home: Home) -> Path:
        """Where its result lies or will."""
        return home.steps / self.name

    def record(self) -> dict[str, Any]:
        """What `step.json` tells of what was asked."""
        versions = {package.name: package.installed for package in self.step.packages}
        return {
            "name": self.step.name, "key": self.key, "slice": self.slice.made(), "code": self.code,
            "versions": versions,
        }  # fmt: skip


@cache
def _installed(name: str, other: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return importlib.metadata.version(other)
