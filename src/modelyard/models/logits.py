"""Finding the logits in what a network of others gives: a tensor, or a tuple, dict or record that
holds them.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor, nn

NAMES = ("logits", "out")


def give_logits(model: nn.Module, num_classes: int) -> None:
    """Let `model` give its logits [B, K] alone, in training and evaluation; a hook, so that no weight gets
    another name.
    """
    model.register_forward_hook(partial(_only_logits, num_classes))


def _only_logits(num_classes: int, _model: nn.Module, _inputs: Any, output: Any) -> Any:
    """The tensor of that name, else the first that has K columns; where there is none, the output
    as it was.
    """
    fitting = (
        part
        for part in _parts(output).values()
        if isinstance(part, Tensor) and tuple(part.shape[1:]) == (num_classes,)
    )
    return next(fitting, output)


def _parts(output: Any) -> dict[Any, Any]:
    """What may be the logits, the likeliest first."""
    if isinstance(output, Tensor):
        return {"": output}
    names: Any = getattr(output, "__slots__", None) or getattr(output, "__dict__", ())
    fields = output if isinstance(output, dict) else {name: getattr(output, name, None) for name in names}
    if isinstance(output, tuple | list):
        fields = dict(zip(getattr(output, "_fields", range(len(output))), output, strict=True))
    return {name: fields[name] for name in NAMES if name in fields} | fields


def described(output: Any) -> str:
    """`(2, 3)`, `a tuple of 2: (4, 10), (2, 7)` or the name of a type, for people."""
    if isinstance(output, Tensor):
        kind = "" if output.is_floating_point() else f" of {str(output.dtype).removeprefix('torch.')}"
        return f"{tuple(output.shape)}{kind}"
    parts = [
        described(part) if isinstance(part, Tensor) else type(part).__name__
        for part in _parts(output).values()
    ]
    return f"a {type(output).__name__}" + (f" of {len(parts)}: {', '.join(parts[:8])}" if parts else "")
