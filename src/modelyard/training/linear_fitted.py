"""A fitted linear model in its folder. N samples, F terms, K classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from modelyard.config import Config
from modelyard.data.datasets import Split, evaluated_rows
from modelyard.files import write_json
from modelyard.models.size import ModelSize
from modelyard.samples.ragged import Ragged
from modelyard.samples.symbols import Symbols
from modelyard.training.fitted import BUILD_FILE, WEIGHTS_FILE, Build
from modelyard.training.support_vectors import Planes
from modelyard.training.terms import Terms

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

TERMS_FILE = "terms.json"


class _Tables(Config):
    """What the terms are made of, and how many lengths each alphabet's have."""

    symbols: tuple[Symbols, ...]
    lengths: tuple[int, ...]
    terms_per_sample: float


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """The terms of one alphabet with their inverse document frequencies [F]."""

    terms: Terms
    idf_F: NDArray[np.float64]

    @classmethod
    def learnt(cls, terms: Terms, counts_NF: csr_matrix) -> Self:
        """Of how often they occur in training samples."""
        from sklearn.feature_extraction.text import TfidfTransformer

        return cls(terms, TfidfTransformer(sublinear_tf=True).fit(counts_NF).idf_)

    def values(self, counts_NF: csr_matrix) -> csr_matrix:
        """TF-IDF of samples: (1 + log count) times idf, each row of length 1."""
        from sklearn.feature_extraction.text import TfidfTransformer

        transformer = TfidfTransformer(sublinear_tf=True)
        transformer.idf_ = self.idf_F
        values_NF: csr_matrix = transformer.transform(counts_NF)
        return values_NF


@dataclass(frozen=True, slots=True, eq=False)
class LinearFitted:
    """TF-IDF and a plane for each class."""

    build: Build
    blocks: tuple[Block, ...]
    """Of each alphabet; the terms of all, one block after the other, are those of the planes."""
    planes: Planes
    terms_per_sample: float
    """Different ones in a training sample, on average."""

    def logits(self, split: Split) -> NDArray[np.float32]:
        """[N, K], before any temperature."""
        size = evaluated_rows(split.form, 4096)
        starts = range(0, len(split), size)
        parts = [split.take(np.arange(start, min(start + size, len(split)))) for start in starts]
        logits = [self.planes.logits(values_of(self.blocks, texts_of(part))) for part in parts]
        return np.concatenate([np.zeros((0, len(self.build.classes)), np.float32), *logits])

    def size(self) -> ModelSize:
        """What an average sample costs: products with the weights of its terms."""
        parameters = self.planes.weights_KF.size + self.planes.biases_K.size
        products = round(self.terms_per_sample * len(self.build.classes))
        return ModelSize(parameters, 2 * products, 4 * products)

    def save(self, folder: Path) -> None:
        """Weights, tables, and for what they were made."""
        from safetensors.numpy import save_file

        arrays: dict[str, NDArray[np.float64] | NDArray[np.int64]] = {
            "weights": self.planes.weights_KF, "biases": self.planes.biases_K,
        }  # fmt: skip
        for at, block in enumerate(self.blocks):
            arrays[_name(at, "idf")] = block.idf_F
            for length, keys in enumerate(block.terms.keys, 2):
                arrays[_name(at, f"keys.{length}")] = keys
        tables = _Tables(
            symbols=tuple(block.terms.symbols for block in self.blocks),
            lengths=tuple(1 + len(block.terms.keys) for block in self.blocks),
            terms_per_sample=self.terms_per_sample,
        )
        save_file(arrays, folder / WEIGHTS_FILE)
        write_json(folder / TERMS_FILE, tables.model_dump(mode="json"))
        write_json(folder / BUILD_FILE, self.build.model_dump(mode="json"))

    @classmethod
    def open(cls, folder: Path, build: Build) -> Self:
        """As `save` left it."""
        from safetensors.numpy import load_file

        arrays = load_file(folder / WEIGHTS_FILE)
        tables = _Tables.model_validate_json((folder / TERMS_FILE).read_bytes())
        blocks = []
        for at, (symbols, lengths) in enumerate(zip(tables.symbols, tables.lengths, strict=True)):
            keys = tuple(arrays[_name(at, f"keys.{length}")] for length in range(2, lengths + 1))
            blocks.append(Block(Terms(symbols, keys), arrays[_name(at, "idf")]))
        planes = Planes(arrays["weights"], arrays["biases"])
        return cls(build, tuple(blocks), planes, tables.terms_per_sample)


def _name(block: int, part: str) -> str:
    return f"{block}.{part}"


def texts_of(split: Split) -> Ragged:
    """What is stored of the samples of a split, and no others."""
    texts: Ragged = split.samples.only(split.rows_N)
    return texts


def values_of(blocks: Sequence[Block], texts: Ragged) -> csr_matrix:
    """TF-IDF of all blocks side by side [N, F]."""
    return beside([block.values(block.terms.counted(texts)) for block in blocks])


def beside(parts: Sequence[csr_matrix]) -> csr_matrix:
    """Rows of length 1 side by side, as rows of length 1: a cost means the same for one as for two."""
    from scipy.sparse import hstack

    joined_NF: csr_matrix = hstack(parts).tocsr() * share_of(len(parts))
    return joined_NF


def share_of(blocks: int) -> float:
    """The length of each of so many blocks in a row of length 1."""
    return float(blocks**-0.5)
