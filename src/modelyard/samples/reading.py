"""How a picture's file becomes a model's pixels, beyond its size: decided by the training data and kept with
the model.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

Fit = Literal["stretch", "pad", "crop"]
FITS: tuple[Fit, ...] = get_args(Fit)
FIT_WORDS: dict[Fit, str] = {"stretch": "stretched", "pad": "padded", "crop": "cut to the middle"}
DEEPEST = 65_535
LEAST_SIDE = 2
"""Pixels: no architecture works with less."""
MOST_PIXELS = 400_000_000
"""Of one picture of one's own."""


@dataclass(frozen=True, slots=True)
class Reading:
    """As the training data were read, so are the pictures to be predicted. The defaults are those of
    manifests of schema 1.
    """

    fit: Fit = "stretch"
    """How another shape is brought to the model's: stretched, padded with the ground, or cut to
    its middle.
    """
    white: int = DEEPEST
    """The value that is white in greys of more than 8 bits."""
    ground: tuple[int, ...] = (255,)
    """0..255 for each channel, or one for all: what lies under transparent parts and beside a
    padded picture.
    """

    @property
    def told(self) -> str:
        """For people."""
        white = "" if self.white == DEEPEST else f", white {self.white}"
        return f"{FIT_WORDS[self.fit]}, ground {colour_name(self.ground)}{white}"

    def made(self) -> list[object] | None:
        """What of it says how other pictures are to be read, where it is not as ever."""
        given: list[object] = [self.fit, self.white]
        return None if given == [AS_EVER.fit, AS_EVER.white] else given

    @property
    def decides(self) -> tuple[object, ...]:
        """What of it makes other inputs of the same files, all but the ground."""
        return self.fit, self.white

    def inverted(self) -> Reading:
        """For a picture whose pixels are inverted after it was read: the ground alone is inverted twice."""
        return replace(self, ground=tuple(255 - value for value in self.ground))

    @classmethod
    def from_json(cls, value: object) -> Reading:
        """From a manifest or a packed data set. Raises: ValueError when it is none."""
        if not isinstance(value, dict) or value.keys() != {"fit", "white", "ground"}:
            raise ValueError(f"expected fit, white and ground, received {str(value)[:100]}")
        fit, white, ground = value["fit"], value["white"], value["ground"]
        if fit not in FITS or type(white) is not int or not 0 < white <= DEEPEST or not _is_colour(ground):
            raise ValueError(
                f"expected a fit, a white of 1..{DEEPEST} and a ground of 0..255, received {str(value)[:100]}"
            )
        return cls(fit, white, tuple(ground))


def colour_name(colour: tuple[int, ...]) -> str:
    """Black, white, or its numbers."""
    names = {frozenset({0}): "black", frozenset({255}): "white"}
    return names.get(frozenset(colour), "-".join(map(str, colour)))


def _is_colour(value: object) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) in {1, 3}
        and all(type(v) is int and 0 <= v <= 255 for v in value)
    )


AS_EVER = Reading()
