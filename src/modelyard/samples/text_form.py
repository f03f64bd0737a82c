"""A text as a sample: UTF-8 bytes in Unicode form C, cut at a limit. B batch, L length in bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from modelyard.samples.names import TEXT, Names
from modelyard.samples.ragged import MOST_LONGEST, Ragged
from modelyard.samples.tensors import Encoding
from modelyard.samples.text import AS_READ, CONTRACT_VERSION, TextReading, UnreadableText, decoded
from modelyard.samples.text_encodings import RawBytes, Strings

BYTES_A_CHARACTER = 4
"""At most, in UTF-8."""
BYTE_SYMBOLS = 256


@dataclass(frozen=True, slots=True)
class TextForm:
    """What all texts of a data set are brought to."""

    kind: ClassVar[str] = "text"
    names: ClassVar[Names] = TEXT
    axes: ClassVar[str] = "characters at most"
    size: ClassVar[None] = None
    """Only pictures have a height and a width."""
    shrunk_by: ClassVar[str] = "data.longest"
    """Keys of a recipe that make samples smaller."""
    longest: int
    """Characters; what is longer is cut."""
    symbols: int = BYTE_SYMBOLS
    """How many different numbers a network is given for a text, 0 (padding) among them."""

    @classmethod
    def from_json(cls, value: object) -> Self:
        """From a manifest. Raises: ValueError."""
        given = value if isinstance(value, dict) else {}
        longest, symbols = given.get("longest"), given.get("symbols")
        if given.keys() != {"longest", "symbols"} or type(longest) is not int or type(symbols) is not int:
            raise ValueError(f"expected longest and symbols alone, received {str(value)[:60]!r}")
        if not 1 <= longest <= MOST_LONGEST or symbols != BYTE_SYMBOLS:
            raise ValueError(
                f"expected 1 to {MOST_LONGEST} characters of bytes, received {str(value)[:60]!r}"
            )
        return cls(longest, symbols)

    @property
    def sides(self) -> tuple[int, ...]:
        """What a user's own network is called with."""
        return self.symbols, self.longest

    @property
    def values(self) -> int:
        """Bytes of the longest one."""
        return self.longest * (BYTES_A_CHARACTER if self.symbols == BYTE_SYMBOLS else 1)

    @property
    def extent(self) -> str:
        """How large they are, for people."""
        return f"up to {self.longest:,} characters"

    @property
    def facts(self) -> dict[str, object]:
        """What the page, and the metadata of an ONNX file, say of it."""
        return {"longest_text": self.longest}

    @property
    def record(self) -> dict[str, object]:
        """What `training.json` says of it."""
        return self.facts

    @property
    def encoding(self) -> Encoding:
        """How a graph takes it unless told otherwise."""
        return Strings(self)

    @property
    def encodings(self) -> dict[str, Encoding]:
        """By name, all ways in which a graph may take it."""
        return {Strings.name: Strings(self), RawBytes.name: RawBytes(self)}

    def blank(self, rows: int) -> NDArray[np.uint8]:
        """So many texts of the letter a, half as long as they may be [B, L]."""
        return np.full((rows, max(1, self.longest // 2)), ord("a"), np.uint8)

    def network_inputs(self, rows: int) -> tuple[NDArray[Any], ...]:
        """Blank arguments of `forward`: symbols, int32 [B, L]."""
        return (np.ones((rows, max(1, self.longest // 2)), np.int32),)

    @property
    def golden_row(self) -> tuple[int | None, ...]:
        """Of a golden sample: UTF-8, padded with zeros."""
        return (None,)

    def golden(self, samples: NDArray[Any]) -> NDArray[Any]:
        """Samples as golden ones are kept."""
        return samples

    def from_golden(self, kept: NDArray[Any], encoding: str) -> NDArray[Any]:
        """What the graph takes. Raises: ValueError for what is no UTF-8."""
        return self.encodings[encoding].raw(kept)

    def content(self, block_BL: NDArray[Any]) -> list[bytes]:
        """What a digest is taken over: the bytes of all texts, and their lengths.

        Raises: UnreadableText for stored ones that are none.
        """
        is_there_BL = block_BL != 0
        if (is_there_BL[:, 1:] & ~is_there_BL[:, :-1]).any():
            raise UnreadableText("a text holds the character NUL")
        content = block_BL[is_there_BL].tobytes()
        decoded(content)
        if (block_BL[:, :1] & 0xC0 == 0x80).any():
            raise UnreadableText("a text begins within a character of UTF-8")
        return [content, is_there_BL.sum(1).astype("<i8").tobytes()]

    def joined(self, parts: Iterable[tuple[Ragged, NDArray[np.int64] | None]]) -> Ragged:
        """Chosen rows of several as one; None: all rows."""
        some = [texts.only(rows) for texts, rows in parts]
        ends = np.cumsum(np.concatenate([[0], *(one.lengths_M for one in some)]))
        return replace(some[0], flat_T=np.concatenate([one.flat_T for one in some]), offsets_M1=ends)

    @staticmethod
    def files(part: str) -> tuple[str, ...]:
        """The arrays of a split on disk, but its labels."""
        return f"{part}_texts.npy", f"{part}_offsets.npy"

    def write(self, folder: Path, part: str, blocks: Iterable[NDArray[Any]]) -> None:
        """A split's files of however many texts come."""
        flat, offsets = (folder / name for name in self.files(part))
        lengths = [np.zeros(1, np.int64)]
        with flat.open("wb") as stream:
            _header(stream, 0)
            for block_BL in blocks:
                is_there_BL = block_BL != 0
                stream.write(block_BL[is_there_BL].data)
                lengths.append(is_there_BL.sum(1).astype(np.int64))
            ends = np.cumsum(np.concatenate(lengths))
            stream.seek(0)
            _header(stream, int(ends[-1]))
        np.save(offsets, ends)

    @classmethod
    def open(cls, folder: Path, part: str, value: object) -> Ragged:
        """The split's texts, mapped into memory; `value` is the form as JSON. Raises: OSError, ValueError."""
        form = cls.from_json(value)
        flat, offsets = (folder / name for name in cls.files(part))
        flat_T = np.load(flat, mmap_mode="r", allow_pickle=False) if flat.stat().st_size else None
        offsets_M = np.load(offsets, allow_pickle=False)
        if (
            flat_T is None
            or (flat_T.dtype, flat_T.ndim) != (np.uint8, 1)
            or (offsets_M.dtype, offsets_M.ndim) != (np.int64, 1)
        ):
            raise ValueError(f"{flat.name} and {offsets.name} hold no texts")
        if (
            len(offsets_M) < 1
            or offsets_M[0] != 0
            or offsets_M[-1] != len(flat_T)
            or (offsets_M[1:] < offsets_M[:-1]).any()  # a difference of two could leave int64
        ):
            raise ValueError(f"{offsets.name} does not belong to {flat.name}")
        return Ragged(flat_T, offsets_M, form)

    def reading(self, _few: NDArray[Any]) -> TextReading:
        """How samples that never were files are read."""
        return AS_READ

    @staticmethod
    def reading_from_json(value: object) -> TextReading:
        """Raises: ValueError."""
        return TextReading.from_json(value)

    def told_of(self, reading: TextReading) -> str:
        """How files become samples, for people."""
        return f"{reading.told}, {self.extent}"

    def contract(self, reading: TextReading) -> dict[str, Any]:
        """All that turns a text into a model's input."""
        return {"version": CONTRACT_VERSION, "charset": "UTF-8", **asdict(reading), "longest": self.longest}

    def __str__(self) -> str:
        return str(self.longest)


def _header(stream: Any, length: int) -> None:
    np.lib.format.write_array_header_1_0(
        stream, {"descr": "|u1", "fortran_order": False, "shape": (length,)}
    )  # numpy pads it so that a longer one fits


def padded(texts: Sequence[bytes]) -> NDArray[np.uint8]:
    """uint8 [B, L], as long as the longest and at least 1."""
    longest = max(1, max(map(len, texts), default=1))
    joined = b"".join(text.ljust(longest, b"\0") for text in texts)
    return np.frombuffer(joined, np.uint8).reshape(len(texts), longest)
