"""Weights that somebody else trained, read from files: bounded, and nothing of them is executed."""

from __future__ import annotations

import hashlib
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from modelyard.errors import ConfigError
from modelyard.files import open_regular, parse_json, read_regular
from modelyard.terminal.printable import printable

MOST_BYTES = 2**32
"""Of a file of weights, and of the tensors in it; ONNX takes half of it."""
MOST_TENSORS = 100_000
SETTINGS_BYTES = 4_000_000
"""Of a configuration, a licence or a README."""
PICKLED = frozenset({".pth", ".pt", ".bin"})
TENSORS = frozenset({".safetensors"})
WHOLE = ("model.safetensors", "pytorch_model.bin")
"""The file of weights in a folder of Hugging Face's, the first that is there."""
INNER = ("state_dict", "model_state_dict", "model", "state_dict_ema", "model_ema", "module", "net")
"""Under which names checkpoints of others keep the weights."""
LICENCES = re.compile(r"(licen[cs]e|copying)([._-].*)?", re.IGNORECASE)
FRONT_MATTER = re.compile(
    r"\A---\n(?:.*\n)*?license:[ \t]*['\"]?([\w.+-]{1,60})['\"]?[ \t]*\n", re.IGNORECASE
)


def weights_file(path: Path) -> Path:
    """The file of weights at a path, which may be a folder of Hugging Face's. Raises: ConfigError."""
    if not path.is_dir():
        if path.suffix.lower() not in TENSORS | PICKLED:
            raise ConfigError(
                f"{path}: expected a .safetensors, .pth, .pt or .bin file, or a folder with one"
            )
        return path
    if found := next((path / name for name in WHOLE if (path / name).is_file()), None):
        return found
    parts = " in one piece, received parts" * any(path.glob("*.index.json"))
    raise ConfigError(f"{path}: expected {' or '.join(WHOLE)}{parts}")


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Name -> tensor on the CPU of a file, or of the one in a folder. Raises: ConfigError, in one line, for
    whatever is no whole file of weights of a bearable size, and for a pickle with anything but tensors in it.
    """
    file = weights_file(path)
    try:
        with open_regular(file) as stream:
            _demand_bearable(stream.seek(0, 2))
        found = load_file(file) if file.suffix.lower() in TENSORS else _unpickled(file)
        _demand_bearable(sum(tensor.numel() * tensor.element_size() for tensor in found.values()))
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from None
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror or printable(error)}") from error
    except Exception as error:  # torch, its unpickler and safetensors raise a dozen kinds
        kind = type(error).__name__  # torch's own words advise to run what is in a pickle
        raise ConfigError(
            f"{file}: no whole file of weights, or one with more than tensors in it ({kind}); copy it again, "
            "or save its state_dict as .safetensors"
        ) from error
    return found


def _demand_bearable(size: int) -> None:
    if size > MOST_BYTES:
        raise ConfigError(f"expected weights of at most {MOST_BYTES / 1e9:.1f} GB, received {size / 1e9:.1f}")


def _unpickled(file: Path) -> dict[str, Tensor]:
    """Tensors, numbers and text alone are unpickled."""
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:  # one that is packed could unfold to anything
            _demand_bearable(sum(member.file_size for member in archive.infolist()))
    with warnings.catch_warnings(action="ignore"):  # of what is refused below
        value = torch.load(file, map_location="cpu", weights_only=True)
    for name in INNER:
        if isinstance(value, Mapping) and isinstance(value.get(name), Mapping):
            value = value[name]
    if not isinstance(value, Mapping) or len(value) > MOST_TENSORS:
        raise ConfigError("expected a state_dict: names with their tensors")
    tensors = {str(name): tensor for name, tensor in value.items() if isinstance(tensor, Tensor)}
    if not tensors or any(one.layout != torch.strided or one.is_quantized for one in tensors.values()):
        raise ConfigError("expected a state_dict of plain tensors (not sparse, not quantised)")
    return {name: tensor.detach() for name, tensor in tensors.items()}


def read_settings(folder: Path, name: str) -> dict[str, Any]:
    """A JSON file beside the weights; empty where there is none. Raises: ConfigError."""
    file = folder / name
    if not file.is_file():
        return {}
    try:
        value = parse_json(read_regular(file, SETTINGS_BYTES))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file}: cannot be read ({printable(error)[:200]}); copy it again") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{file}: expected a JSON object, received {type(value).__name__}")
    return value


@dataclass(frozen=True, slots=True)
class Licence:
    """What the weights come under, as far as is told beside them."""

    name: str = ""
    """As a README or the configuration has it, such as apache-2.0."""
    file: str = ""
    sha256: str = ""
    """Of the licence's text."""


def licence_of(path: Path) -> Licence:
    """Of a folder, or of the one a file lies in. What cannot be read tells nothing."""
    folder = path if path.is_dir() else path.parent
    name = next(_names(folder), "")
    for file in sorted(folder.iterdir()):
        if LICENCES.fullmatch(file.name) and (text := _text_of(file)):
            return Licence(name, file.name, hashlib.sha256(text).hexdigest())
    return Licence(name)


def _names(folder: Path) -> Iterator[str]:
    front = _text_of(folder / "README.md").decode(errors="replace").replace("\r\n", "\n")
    if found := FRONT_MATTER.match(front[:10_000]):
        yield found[1]
    stated = read_settings(folder, "config.json").get("license")
    if isinstance(stated, str):
        yield printable(stated[:60])


def _text_of(file: Path) -> bytes:
    try:
        return read_regular(file, SETTINGS_BYTES) if file.is_file() else b""
    except OSError:
        return b""
