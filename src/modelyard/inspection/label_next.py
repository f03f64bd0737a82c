"""Which samples to label next: of which a released model is unsure, and which are unlike each other.

A draw as in BADGE (Ash et al. 2020, arXiv:1906.03671): k-means++ (Arthur and Vassilvitskii 2007) on the
gradients that each sample would have at the last layer if the model's answer were the truth. Such a gradient
is the outer product of p - onehot(argmax p) and what the layer is given, which a bundle does not tell:
traits of the sample itself (`Measures.traits`), centred and of length 1, stand for it. Products of gradients
are then products of both parts, and no gradient is made. Unlike there the zero gradient, that of a sure
answer, is as if drawn first: no draw is spent on it.

N samples, M candidates, F traits, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelyard.bundle import Bundle
from modelyard.data.datasets import Dataset, Rows, Split
from modelyard.errors import DataError
from modelyard.inference.session import classify, open_session
from modelyard.inspection.measures import measures_of
from modelyard.sources.found import Unsorted

POOL = 20_000
"""Candidates, the most uncertain; the chance of any other is next to nothing."""
Values = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Chosen:
    """What to label next, the first drawn first."""

    model: str
    split: Split
    rows: list[dict[str, Any]]
    """Of each its name, the model's answer, its probability, and the score: the squared distance of its
    gradient from the nearest one that was drawn before."""
    candidates: int
    left_out: dict[str, int]
    """Why -> how many."""


def choose(bundle: Bundle, dataset: Dataset, found: Unsorted, count: int, seed: int = 0) -> Chosen:
    """Draw `count` samples that are neither in the data set nor equal to each other.

    Raises: DataError where there are fewer; BundleError where the model cannot answer.
    """
    measures, manifest, many = measures_of(dataset.form), bundle.manifest, dataset.form.names.many
    kept_M, left_out = _kept(dataset, found.split)
    if not 0 < count <= len(kept_M):
        raise DataError(
            f"--count: expected at most {len(kept_M):,}, the {many} of {len(found.split):,} that are new to "
            f"{dataset.name}, received {count:,}"
        )
    split, session = found.split.take(kept_M), open_session(bundle.model)
    answers = [classify(session, manifest.signature.raw(block)) for block in split.blocks()]
    probabilities_MK = np.nan_to_num(np.concatenate(answers))
    pool = np.argsort(-np.square(gradients(probabilities_MK)).sum(1), kind="stable")[: max(POOL, count)]
    drawn, scores = draw(probabilities_MK[pool], measures.traits(split.take(pool)), count, seed)
    chosen = pool[drawn]
    rows = [
        {
            **measures.named(split.gather(np.array([row]))[0], found.places[kept_M[row]]),
            "answer": manifest.classes[probabilities_MK[row].argmax()],
            "probability": round(float(probabilities_MK[row].max()), 4),
            "score": round(float(score), 4),
        }
        for row, score in zip(chosen, scores, strict=True)
    ]
    name = f"{manifest.model_name}@{bundle.folder.name}"
    return Chosen(name, split.take(chosen), rows, len(kept_M), left_out)


def _kept(dataset: Dataset, split: Split) -> tuple[Rows, dict[str, int]]:
    """Rows that are nowhere in the data set, the first of equal ones; and why the others are left out."""
    look_at, names = measures_of(dataset.form).look_at, dataset.form.names
    train, test = f"in train of {dataset.name}", f"in test of {dataset.name}"
    seen = dict.fromkeys(look_at(dataset.train).digests, train)
    seen |= dict.fromkeys(look_at(dataset.test).digests, test)
    kept, left_out = list[int](), dict[str, int]()
    for row, digest in enumerate(look_at(split).digests):
        if why := seen.get(digest):
            left_out[why] = left_out.get(why, 0) + 1
        else:
            kept.append(row)
            seen[digest] = f"equal to another {names.one}"
    return np.array(kept, np.int64), left_out


def gradients(probabilities_NK: Values) -> Values:
    """Of the loss of the model's answer with respect to its logits [N, K]."""
    found_NK = probabilities_NK.copy()
    found_NK[np.arange(len(found_NK)), found_NK.argmax(1)] -= 1
    return found_NK


def draw(probabilities_NK: Values, traits_NF: Values, count: int, seed: int) -> tuple[Rows, Values]:
    """Row numbers in the order of drawing, and the score of each when it was drawn."""
    generator = np.random.default_rng(seed)
    gradients_NK = gradients(probabilities_NK)
    traits_NF = traits_NF - traits_NF.mean(0)
    traits_NF /= np.maximum(np.linalg.norm(traits_NF, axis=1, keepdims=True), 1e-9)
    sizes_N = np.square(gradients_NK).sum(1) * np.square(traits_NF).sum(1)
    distances_N, left_N = sizes_N.copy(), np.ones(len(sizes_N), np.bool_)
    rows, scores = np.zeros(count, np.int64), np.zeros(count, np.float32)
    for at in range(count):
        weights_N = np.where(left_N, distances_N, 0).astype(np.float64)
        if not weights_N.any():  # the model is sure of all that are left, or they are alike
            weights_N = left_N.astype(np.float64)
        row = int(
            generator.choice(len(weights_N), p=weights_N / weights_N.sum()) if at else weights_N.argmax()
        )
        rows[at], scores[at], left_N[row] = row, distances_N[row], False
        products_N = (gradients_NK @ gradients_NK[row]) * (traits_NF @ traits_NF[row])
        distances_N = np.clip(sizes_N + sizes_N[row] - 2 * products_N, 0, distances_N)
    return rows, scores
