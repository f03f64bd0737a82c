"""The fit of the linear model: TF-IDF and support vector machines by scikit-learn; what validation finds best
is kept. N samples, F terms, K classes.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from modelyard.data.datasets import Dataset, Split
from modelyard.data.splits import make_splits
from modelyard.errors import TrainingError
from modelyard.evaluation.calibration import fit_temperature, softmax
from modelyard.evaluation.metrics import negative_log_likelihood
from modelyard.files import write_json
from modelyard.machine.how import OnEpoch
from modelyard.models.linear import LinearConfig
from modelyard.progress import EpochReport
from modelyard.samples.symbols import Alphabet
from modelyard.training.fitted import RESULT_FILE, Build
from modelyard.training.job import TrainJob
from modelyard.training.linear_fitted import Block, LinearFitted, beside, texts_of, values_of
from modelyard.training.support_vectors import Machine, Planes
from modelyard.training.terms import Terms

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

ALPHABETS: Mapping[str, tuple[Alphabet, ...]] = {
    "both": ("words", "letters"),
    "words": ("words",),
    "letters": ("letters",),
}
COSTS = (1.0, 0.3, 3.0)
MOST_BAYES = 20
"""Classes up to which terms are weighted by `bayes`, which takes a machine of its own for each."""
SEARCHED_BYTES, FITTED_BYTES = 4_000_000, 32_000_000
"""Texts that terms are learnt of and candidates are fitted on, and texts that the chosen one is fitted on, at
most: what is more costs minutes and gigabytes, and teaches a linear model little."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One way to fit it."""

    terms: str
    cost: float
    weighting: str

    def machine(self, num_classes: int, seed: int) -> Machine:
        """What is to be fitted of it."""
        return Machine(self.cost, self.weighting, num_classes, seed)


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """What came of one."""

    choice: Choice
    planes: Planes
    report: EpochReport


@dataclass(frozen=True, slots=True, eq=False)
class Counted:
    """A data set as blocks of TF-IDF by alphabet."""

    blocks: dict[str, Block]
    train: dict[str, csr_matrix]
    validation: dict[str, csr_matrix]
    labels_N: NDArray[np.int64]
    validation_labels_N: NDArray[np.int64]

    @classmethod
    def of(cls, config: LinearConfig, train: Split, validation: Split) -> Counted:
        """Terms are learnt on `train` alone. Raises: TrainingError where it has none of an alphabet."""
        blocks: dict[str, Block] = {}
        learnt: dict[str, csr_matrix] = {}
        held_out: dict[str, csr_matrix] = {}
        texts, others = texts_of(train), texts_of(validation)
        longest = {"words": config.words, "letters": config.letters}
        for alphabet in ALPHABETS[config.terms or "both"]:
            terms = Terms.learnt(alphabet, texts, longest[alphabet], config.least, config.most)
            if not len(terms):
                raise TrainingError(
                    f"no {alphabet[:-1]} is in as many training texts as model.least={config.least} and "
                    f"model.most={config.most} demand; add texts that hold some, or change these"
                )
            counts_NF = terms.counted(texts)
            blocks[alphabet] = block = Block.learnt(terms, counts_NF)
            learnt[alphabet] = block.values(counts_NF)
            held_out[alphabet] = block.values(terms.counted(others))
        return cls(blocks, learnt, held_out, train.labels_N, validation.labels_N)

    def chosen(self, choice: Choice) -> tuple[Block, ...]:
        """The blocks of a choice."""
        return tuple(self.blocks[alphabet] for alphabet in ALPHABETS[choice.terms])

    def terms_per_sample(self, choice: Choice) -> float:
        """Different ones in a training sample, on average."""
        return float(sum(self.train[name].nnz for name in ALPHABETS[choice.terms]) / len(self.labels_N))


def fit(job: TrainJob, dataset: Dataset, out: Path, on_epoch: OnEpoch) -> None:
    """Leaves weights, tables, `model.json` and `training.json` in `out`; each candidate is told as an epoch.

    Raises: TrainingError where there is nothing to tell apart.
    """
    began, config = time.perf_counter(), job.model
    assert isinstance(config, LinearConfig)
    splits = make_splits(dataset, job.data)
    train = _evenly(splits.train, job.training.max_train_images or len(splits.train))
    train, searched = _within(train, FITTED_BYTES), _within(train, SEARCHED_BYTES)
    if len(np.unique(searched.labels_N)) < 2:
        raise TrainingError("expected training texts of at least 2 classes, received 1; add texts of another")
    counted = Counted.of(config, searched, _within(splits.validation, SEARCHED_BYTES))
    candidates = Search(config, counted, len(dataset.classes), job.seed, on_epoch).candidates()
    chosen = best(candidates)
    blocks, planes = counted.chosen(chosen.choice), chosen.planes
    if len(train) > len(searched):
        machine = chosen.choice.machine(len(dataset.classes), job.seed)
        planes = machine.fit(values_of(blocks, texts_of(train)), train.labels_N)
    build = Build.of(config, train, dataset.classes)
    fitted = LinearFitted(build, blocks, planes, counted.terms_per_sample(chosen.choice))
    fitted.save(out)
    record = {
        "history": [asdict(candidate.report) for candidate in candidates], "precision": "float64",
        "best_epoch": chosen.report.epoch, "chosen": asdict(chosen.choice), "device": "cpu", "card": "",
        "size": asdict(fitted.size()), "model": config.model_dump(mode="json"),
        "training": job.training.model_dump(mode="json"), **dataset.form.record, "train_images": len(train),
        "seconds": time.perf_counter() - began, "checkpoint_seconds": 0.0,
    }  # fmt: skip
    write_json(out / RESULT_FILE, record)


def _within(split: Split, most: int) -> Split:
    """At most so many bytes of samples, evenly spaced; never less than one."""
    lengths_M = split.samples.lengths_M
    total = int((lengths_M if split.rows_N is None else lengths_M[split.rows_N]).sum())
    return split if total <= most else _evenly(split, max(1, len(split) * most // total))


def _evenly(split: Split, count: int) -> Split:
    """At most `count` samples, evenly spaced."""
    return split.take(np.arange(count) * len(split) // count) if count < len(split) else split


@dataclass(frozen=True, slots=True, eq=False)
class Search:
    """Terms first, then costs for the best of them."""

    config: LinearConfig
    counted: Counted
    num_classes: int
    seed: int
    on_epoch: OnEpoch

    def candidates(self) -> list[Candidate]:
        """All that were tried, in order."""
        config, tried = self.config, list[Candidate]()
        weighting = config.weighting or ("bayes" if self.num_classes <= MOST_BAYES else "idf")
        costs = COSTS if config.cost is None else (config.cost,)
        terms = tuple(ALPHABETS) if config.terms is None else (config.terms,)
        total = len(costs) + len(terms) - 1
        for counted in terms:
            tried.append(self._tried(Choice(counted, costs[0], weighting), len(tried) + 1, total))
        chosen = best(tried).choice
        for cost in costs[1:]:
            tried.append(self._tried(replace(chosen, cost=cost), len(tried) + 1, total))
        return tried

    def _tried(self, choice: Choice, number: int, total: int) -> Candidate:
        began, counted = time.perf_counter(), self.counted
        train_NF, validation_NF = (
            beside([part[alphabet] for alphabet in ALPHABETS[choice.terms]])
            for part in (counted.train, counted.validation)
        )
        planes = choice.machine(self.num_classes, self.seed).fit(train_NF, counted.labels_N)
        logits_NK, labels_N = planes.logits(validation_NF), counted.validation_labels_N
        temperature, seconds = fit_temperature(logits_NK, labels_N), time.perf_counter() - began
        report = EpochReport(
            epoch=number,
            epochs=total,
            train_loss=negative_log_likelihood(softmax(planes.logits(train_NF)), counted.labels_N),
            validation_loss=negative_log_likelihood(softmax(logits_NK), labels_N),
            validation_accuracy=float((logits_NK.argmax(1) == labels_N).mean()),
            learning_rate=0.0,
            seconds=seconds,
            seconds_left=seconds * (total - number),
            calibrated_loss=negative_log_likelihood(softmax(logits_NK, temperature), labels_N),
        )
        self.on_epoch(report)
        return Candidate(choice, planes, report)


def best(candidates: Sequence[Candidate]) -> Candidate:
    """That of the lowest calibrated loss on validation, the first of equals."""
    return min(candidates, key=lambda candidate: candidate.report.calibrated_loss)
