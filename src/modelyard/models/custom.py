"""A user's own `nn.Module`, given as `path/to/file.py:Name`."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from modelyard.config import Config
from modelyard.errors import ConfigError
from modelyard.files import sha256_of_file


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
        """From `file.py:Name`. Raises: ConfigError when the file is missing."""
        file, _, name = text.rpartition(":")
        path = Path(file).expanduser().resolve()
        if not path.is_file():
            raise ConfigError(f"--architecture {text}: no such file {path}; expected path/to/file.py:ClassName")
        return cls(file=str(path), name=name, source_digest=sha256_of_file(path))

    def build(self, image_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
        """Import, construct and try the module. Raises: ConfigError when any of it fails."""
        where = f"{self.file}:{self.name}"
        try:
            source = Path(self.file).read_bytes()
            if hashlib.sha256(source).hexdigest() != self.source_digest:
                raise ValueError("it was edited after the run began")
            spec = importlib.util.spec_from_file_location("modelyard_user_module", self.file)
            assert spec is not None
            module = importlib.util.module_from_spec(spec)
            exec(compile(source, self.file, "exec"), module.__dict__)  # what was read above; a cache may hold something else
            model = getattr(module, self.name)(image_shape, num_classes)
            shape = tuple(model.eval()(torch.zeros(2, *image_shape)).shape)
        except Exception as error:
            raise ConfigError(f"{where}: cannot be built ({type(error).__name__}: {error})") from error
        if not isinstance(model, nn.Module) or shape != (2, num_classes):
            raise ConfigError(f"{where}: expected logits of shape (2, {num_classes}) for 2 images, received {shape}")
        return model.train()
