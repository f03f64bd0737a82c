"""Which of brought weights a network has a place for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from modelyard.errors import ConfigError
from modelyard.terminal.printable import listed, printable

LEAST_SHARE = 0.9
"""Of a network's weights below its head."""
MOST_NAMED = 20


@dataclass(frozen=True, slots=True)
class Match:
    """What is taken over."""

    tensors: dict[str, Tensor]
    """By the names of the network."""
    missing: tuple[str, ...]
    """Of the network, below its head: they stay as they are at first."""
    left_over: tuple[str, ...]
    """Of what was brought."""
    share: float
    """Of the network's numbers below its head."""

    def record(self) -> dict[str, Any]:
        """For the manifest; of many names the first."""
        return {
            "matched": len(self.tensors), "share": round(self.share, 6),
            "missing": len(self.missing), "missing_names": list(self.missing[:MOST_NAMED]),
            "left_over": len(self.left_over), "left_over_names": list(self.left_over[:MOST_NAMED]),
        }  # fmt: skip

    @property
    def told(self) -> str:
        """For people."""
        parts = [f"{len(self.tensors)} tensors matched ({self.share:.0%} of the numbers below the head)"]
        parts += [f"{len(self.missing)} missing ({listed(self.missing, 3)})"] if self.missing else []
        parts += [f"{len(self.left_over)} left over ({listed(self.left_over, 3)})"] if self.left_over else []
        return ", ".join(parts)


def matched(
    own: Mapping[str, Tensor], heads: Set[str], brought: Mapping[str, Tensor], *, with_head: bool
) -> Match:
    """`own`: the network's state; `heads`: those of its names whose shape depends on the classes, which are
    taken over only `with_head`.

    Raises: ConfigError where a tensor has another shape, or less than `LEAST_SHARE` are found.
    """
    places = _places(own.keys(), brought)
    named = {place: brought[name] for name, place in places.items()}
    below = {name: tensor for name, tensor in own.items() if name not in heads}
    for name, tensor in below.items():
        if name in named and named[name].shape != tensor.shape:
            raise ConfigError(
                f"{name}: expected {list(tensor.shape)}, received {list(named[name].shape)}; these weights "
                "are for samples of another size, or for other options of the network"
            )
    wanted = {name: tensor for name, tensor in own.items() if with_head or name not in heads}
    fits = {
        name: named[name].to(tensor.dtype).contiguous().clone()
        for name, tensor in wanted.items()
        if name in named and named[name].shape == tensor.shape
    }
    numbers = sum(tensor.numel() for tensor in below.values())
    share = sum(below[name].numel() for name in fits if name in below) / max(1, numbers)
    missing = tuple(name for name in below if name not in fits)
    left_over = tuple(printable(name)[:200] for name in brought if places.get(name) not in fits)
    found = Match(fits, missing, left_over, share)
    if share < LEAST_SHARE:
        raise ConfigError(
            f"expected at least {LEAST_SHARE:.0%} of the network's numbers below its head: {found.told}; "
            "name the architecture, with the options, that the weights are of"
        )
    _demand_finite(fits)
    return found


def _demand_finite(tensors: Mapping[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise ConfigError(f"{name}: expected finite numbers, received infinity or NaN")


def _places(own: Iterable[str], brought: Iterable[str]) -> dict[str, str]:
    """Names that were brought -> those of the network, where it has one.

    What all names of the network begin with, and what most of those that were brought do (`module.`), says
    nothing.
    """
    names = set(own)
    common = _common(names)
    short = {name.removeprefix(common): name for name in names}
    starts = {"", *(name[: name.index(".") + 1] for name in brought if "." in name)}
    starts |= {_common(brought)}
    best = max(sorted(starts), key=lambda start: sum(name.removeprefix(start) in short for name in brought))
    keys = {name: name.removeprefix(best) for name in brought}
    return {name: short[key] for name, key in keys.items() if key in short}


def _common(names: Iterable[str]) -> str:
    """The parts that all names begin with."""
    parts = [name.split(".")[:-1] for name in names]
    shared = []
    for column in zip(*parts, strict=False):
        if len(set(column)) > 1:
            break
        shared.append(column[0])
    return "".join(f"{part}." for part in shared)
