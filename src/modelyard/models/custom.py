"""A user's own `nn.Module`, given as `path/to/file.py:Name`."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from modelyard.config import Config
from modelyard.errors import ConfigError
from modelyard.files import full_path, read_regular
from modelyard.own_modules import demand_recorded
from modelyard.text import printable

MOST_BYTES = 10_000_000


class CustomConfig(Config):
    """The module's file, its class and the digest of its source (so that an edit retrains)."""

    architecture: Literal["custom"] = "custom"
    file: str
    """Absolute path of the Python file."""
    name: str
    """Class name; called as `Name(image_shape, num_classes)`."""
    source_digest: str
    """sha256 of the file."""

    @classmethod
    def parse(cls, text: str) -> CustomConfig:
        """From `file.py:Name`. Raises: ConfigError when it is no Python file, cannot be imported or has no such class."""
        file, _, name = text.rpartition(":")
        path = full_path(file)
        if path.suffix != ".py" or not name.isidentifier() or printable(path) != str(path):
            raise ConfigError(f"--architecture {text!r}: expected path/to/file.py:ClassName")
        try:
            source = read_regular(path, MOST_BYTES)
        except OSError as error:
            why = "no such file" if isinstance(error, FileNotFoundError) else error.strerror
            raise ConfigError(f"--architecture {text}: {why} {path}; expected path/to/file.py:ClassName") from None
        config = cls(file=str(path), name=name, source_digest=hashlib.sha256(source).hexdigest())
        with config._telling():
            _find(config.file, config.name, config.source_digest)
        return config

    def build(self, image_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
        """Import, construct and try the module. Raises: ConfigError when any of it fails."""
        with self._telling():
            model = _find(self.file, self.name, self.source_digest)(image_shape, num_classes)
            shape = tuple(model.eval()(torch.zeros(2, *image_shape)).shape)
        if not isinstance(model, nn.Module) or shape != (2, num_classes):
            raise ConfigError(
                f"{self.file}:{self.name}: expected logits of shape (2, {num_classes}) for 2 images, received {shape}"
            )
        return model.train()

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except ConfigError:
            raise
        except (Exception, SystemExit) as error:
            raise ConfigError(f"{self.file}:{self.name}: cannot be built ({type(error).__name__}: {error})") from error


@cache
def _find(file: str, name: str, source_digest: str) -> Callable[..., Any]:
    """Runs the file, once for each content: the very bytes that have the digest, never a cache of others."""
    source = read_regular(Path(file), MOST_BYTES)
    if hashlib.sha256(source).hexdigest() != source_digest:
        raise ValueError("it was edited after the run began")
    demand_recorded(file, source_digest)
    spec = importlib.util.spec_from_file_location(f"modelyard_user_module_{source_digest[:16]}", file)
    assert spec is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # dataclasses look there
    exec(compile(source, file, "exec", dont_inherit=True), module.__dict__)
    found: Callable[..., Any] = getattr(module, name)
    if not callable(found):
        raise TypeError(f"{name} is no class")
    return found
