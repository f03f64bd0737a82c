"""A network that is not ours: a user's own `nn.Module` (`path/to/file.py:Name`), or torchvision's or timm's
(`timm:NAME`).
"""

from __future__ import annotations

import copy
import hashlib
import io
import logging
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import AfterValidator, Field
from torch import Tensor, nn

from modelyard.config import Part
from modelyard.errors import ConfigError
from modelyard.files import full_path, sha256_of_json
from modelyard.models import library
from modelyard.models.blank import blank_inputs
from modelyard.models.logits import described, give_logits
from modelyard.models.normalised import COLOURS, NormalisedConfig
from modelyard.models.own_code import OwnCode, load
from modelyard.samples import Form
from modelyard.terminal.printable import printable, shortened

EXPECTED = "expected path/to/file.py:ClassName, torchvision:NAME or timm:NAME"
MOST_PRINTED = 100_000
"""Characters that a module may print while it is built."""
_output = threading.RLock()
"""Who holds it may redirect what the process prints."""


def _scalar(value: Any) -> Any:
    if not isinstance(value, bool | int | float | str | None) or (
        isinstance(value, float) and not math.isfinite(value)
    ):
        raise ValueError("expected text, a number, true, false or null")
    return value


class CustomConfig(NormalisedConfig):
    """The module, how it is called, and digests of its code and first weights (so that other ones
    retrain).
    """

    architecture: Literal["custom", "torchvision", "timm"] = "custom"
    file: Annotated[str, Part.HOW] = ""
    """Absolute path of the Python file; of a library's none."""
    name: str
    """Called as `Name(image_shape, num_classes, **kwargs)`."""
    source_digest: str
    """Of the file and those that it imports from its folder; the version of a library."""
    kwargs: dict[str, Annotated[Any, AfterValidator(_scalar)]] = Field(default_factory=dict)
    weights_digest: str = ""
    """Of what it starts from, as `started` says; empty until the data are known."""

    @classmethod
    def parse(cls, text: str) -> CustomConfig:
        """From `file.py:Name`. Raises: ConfigError when it is no Python file, cannot be imported or has no
        such class.
        """
        file, _, name = text.rpartition(":")
        for known in library.LIBRARIES:
            if file == known:
                return cls(architecture=known, name=name, source_digest=library.library_version(known, name))
        path = full_path(file)
        if path.suffix != ".py" or not name.isidentifier() or printable(path) != str(path):
            raise ConfigError(f"--architecture {text!r}: {EXPECTED}")
        try:
            config = cls(file=str(path), name=name, source_digest=OwnCode.read(path).digest)
        except OSError as error:
            why = "no such file" if isinstance(error, FileNotFoundError) else error.strerror
            raise ConfigError(f"--architecture {text}: {why} {error.filename or path}; {EXPECTED}") from None
        with config._telling("cannot be built"):
            config._find()
        return config

    def build(self, form: Form, num_classes: int) -> nn.Module:
        """Import, construct and try the module; its logits come first. Raises: ConfigError when any of it
        fails.
        """
        if not self.file and form.size is None:
            raise ConfigError(
                f"{self.told}: expected images, which have a height and a width, received {form.names.many}; "
                "name one of ours, or file.py:ClassName"
            )
        called = "".join(f", {name}={value!r}" for name, value in self.kwargs.items())
        with self._telling(
            "cannot be built", f"; it is called as {self.name}(image_shape, num_classes{called})"
        ):
            model = self._find()(form.sides, num_classes, **self.kwargs)
        if not isinstance(model, nn.Module):
            raise ConfigError(f"{self.told}: expected an nn.Module, received {described(model)}")
        give_logits(model, num_classes)
        try:
            self._try(model.eval(), form, num_classes, "")
        except ConfigError as error:
            if self.file or (side := library.smallest_side(model, form)) is None:
                raise
            raise ConfigError(
                f"{self.told} takes no images of {form.height} x {form.width}, but for instance "
                f"of {side} x {side}:"
                f" --set data.height={side} --set data.width={side}, for image folders"
            ) from error
        return self.normalised(model.train(), *({form.sides[0], COLOURS} if form.size else ()))

    def check(self, form: Form, num_classes: int) -> nn.Module:
        """`build`, and a copy is tried as it is trained. Raises: ConfigError."""
        model = self.build(form, num_classes)
        with self._telling("cannot be copied, as training does"):
            scratch = copy.deepcopy(model)
        logits_BK = self._try(scratch.train(), form, num_classes, " while training")
        if not logits_BK.requires_grad:
            raise ConfigError(
                f"{self.told}: expected logits that depend on a "
                "parameter with requires_grad, received constants"
            )
        return model

    def started(self, form: Form, num_classes: int) -> Self:
        """With the digest of its first parameters and buffers, weights from a file beside the module
        included.

        Built twice from one seed; what differs then is random and left out. Raises: ConfigError.
        """
        states, threads = [], torch.get_num_threads()
        torch.set_num_threads(1)  # orthogonal weights differ in their last bits with the number
        try:
            with torch.random.fork_rng(devices=[]), self._telling("cannot be digested"):
                for _ in range(2):
                    torch.manual_seed(0)
                    states.append(_digests(self.build(form, num_classes)))
        finally:
            torch.set_num_threads(threads)
        same = {name: digest for name, digest in states[0].items() if states[1].get(name) == digest}
        return self.model_copy(update={"weights_digest": sha256_of_json(same)})

    def demand_started(self, form: Form, num_classes: int) -> None:
        """Raises: ConfigError when it starts from something else than where the digest was taken."""
        if self.weights_digest and self.started(form, num_classes) != self:
            raise ConfigError(
                f"{self.told}: it starts from other weights than when the run began; run the same "
                "command again"
            )

    @property
    def told(self) -> str:
        """As the user named it, but with the whole path."""
        return f"{self.file or self.architecture}:{self.name}"

    def own_files(self) -> dict[str, str]:
        """Path -> digest of the user's files that are imported. Raises: ConfigError when they were edited."""
        if not self.file:
            return {}
        code = OwnCode.read(Path(self.file))
        if code.digest != self.source_digest:
            raise ConfigError(
                f"{self.told}: it was edited after the run began, or a file that it imports was"
            )
        return code.files

    def _find(self) -> Callable[..., Any]:
        if self.architecture != "custom":
            return library.find(self.architecture, self.name)
        module = load(self.file, self.source_digest)
        found: Callable[..., Any] | None = getattr(module, self.name, None)
        if not callable(found):
            own = [
                name
                for name, value in vars(module).items()
                if getattr(value, "__module__", "") == module.__name__
            ]
            kind = (
                f"no class {self.name}"
                if found is None
                else f"{self.name} is no class but of type {type(found).__name__}"
            )
            raise ConfigError(f"{self.told}: {kind}; the file has {', '.join(own[:10]) or 'none'}")
        return found

    def _try(self, model: nn.Module, form: Form, num_classes: int, when: str) -> Tensor:
        with self._telling(f"fails{when}"):
            output = model(*blank_inputs(form, 2))
        expected = (
            f"{self.told}: expected logits of shape (2, {num_classes}) for 2 {form.names.many}, received"
        )
        if (
            not isinstance(output, Tensor)
            or output.shape != (2, num_classes)
            or not output.is_floating_point()
        ):
            raise ConfigError(
                f"{expected} {described(output)}{when}; return the logits, or a tuple or dict with them"
            )
        if (output >= 0).all() and ((output.sum(1) - 1).abs() < 1e-3).all():
            raise ConfigError(
                f"{expected} probabilities{when}; leave the softmax out, the released model has one"
            )
        return output

    @contextmanager
    def _telling(self, what: str, called: str = "") -> Iterator[None]:
        """Whatever the module raises is one line; what it prints goes to the log."""
        printed = _Printed()
        try:
            with _output, redirect_stdout(printed), redirect_stderr(printed):
                yield
        except (ConfigError, KeyboardInterrupt):
            raise
        except BaseException as error:
            why = shortened(" ".join(str(error).split()))
            missing = "; install it, or put it beside the file" * isinstance(error, ModuleNotFoundError)
            remedy = called if isinstance(error, TypeError) else missing
            raise ConfigError(f"{self.told}: {what} ({type(error).__name__}: {why}){remedy}") from error
        finally:
            if text := printed.getvalue():
                logging.getLogger(__name__).info("%s printed: %s", self.told, printable(text))


class _Printed(io.StringIO):
    """What a module prints, which may not go on for ever."""

    def write(self, text: str) -> int:
        if self.tell() + len(text) > MOST_PRINTED:
            raise RuntimeError(f"it prints more than {MOST_PRINTED} characters")
        return super().write(text)


def _digests(model: nn.Module) -> dict[str, str]:
    """Name -> sha256 of each tensor that the model holds; and of how torch describes it."""
    tensors = {
        f"{name}.{key}": value for name, part in model.named_modules() for key, value in vars(part).items()
    }
    tensors |= dict([*model.named_parameters(), *model.named_buffers()])
    found = {"": hashlib.sha256(repr(model).encode()).hexdigest()}
    for name, value in tensors.items():
        if isinstance(value, Tensor):
            content = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
            found[name] = sha256_of_json(
                [str(value.dtype), list(value.shape), hashlib.sha256(content).hexdigest()]
            )
    return found
