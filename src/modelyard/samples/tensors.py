"""What goes into a graph and comes out of it, and what makes samples of one kind into it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output; its first axis is the batch."""

    name: str
    dtype: str
    """numpy's name of it."""
    axes: tuple[tuple[str, int | None], ...]
    """Name and extent of each; None is free. Strings are of dtype `str`."""

    @property
    def shape(self) -> tuple[int | None, ...]:
        """The extents; None is free."""
        return tuple(extent for _, extent in self.axes)

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Of one sample: the extents of all axes but the batch that are not free."""
        return tuple(extent for _, extent in self.axes[1:] if extent is not None)


class Encoding(Protocol):
    """How samples, as a data set stores them, become the input of a graph."""

    name: ClassVar[str]
    value: ClassVar[str]
    """What people call the input."""
    files: ClassVar[tuple[str, ...]] = ()
    """Names of files of a bundle without which it makes no input."""

    def fed(self, files: Mapping[str, bytes]) -> Self:
        """With what is in them. Raises: ConfigError."""
        return self

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """Of the graph: raw samples."""

    @property
    def told(self) -> str:
        """For people: what the input is."""

    def raw(self, samples: NDArray[Any]) -> NDArray[Any]:
        """The graph's input, batch first."""

    def loosened(self, raw: NDArray[Any], by: int) -> NDArray[Any]:
        """The same rows first, given so that a graph pads each by so many places more, where it pads."""
