"""The linear model is scikit-learn's, and a function of data, recipe and seed. N samples, F terms."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.svm import LinearSVC

from modelyard.data.datasets import Dataset
from modelyard.data.splits import DataConfig, make_splits
from modelyard.errors import TrainingError
from modelyard.models import LinearConfig
from modelyard.progress import EpochReport
from modelyard.samples.symbols import all_texts
from modelyard.samples.words import folded, words_of
from modelyard.training.config import TrainingConfig
from modelyard.training.fits import open_fitted
from modelyard.training.fitted import RESULT_FILE
from modelyard.training.job import TrainJob
from modelyard.training.linear import ALPHABETS, fit
from modelyard.training.linear_fitted import Block, LinearFitted, texts_of, values_of
from modelyard.training.support_vectors import SHARPNESS, TOLERANCE, Machine
from modelyard.training.terms import Terms
from tests.data.pages import PAGES, page_dataset
from tests.data.texts import text_dataset


def fitted_linear(
    dataset: Dataset, out: Path, config: LinearConfig | None = None
) -> tuple[LinearFitted, list[EpochReport]]:
    out.mkdir()
    job = TrainJob(
        data=DataConfig(), model=config or LinearConfig(), training=TrainingConfig(), seed=0,
        data_folder="", device="cpu", checkpoint="",
    )  # fmt: skip
    reports: list[EpochReport] = []
    fit(job, dataset, out, reports.append)
    fitted = open_fitted(out)
    assert isinstance(fitted, LinearFitted)
    return fitted, reports


def _words(text: str) -> list[str]:
    return [folded(word) for word in words_of(text)]


def test_terms_are_weighted_as_scikit_learn_weights_them() -> None:
    split = page_dataset().train
    texts = list(all_texts(texts_of(split)))
    theirs = {
        "words": TfidfVectorizer(
            tokenizer=_words, token_pattern=None, lowercase=False, ngram_range=(1, 2), sublinear_tf=True
        ),
        "letters": TfidfVectorizer(analyzer=_letters, sublinear_tf=True, min_df=2),
    }
    for (alphabet,), longest, least in ((ALPHABETS["words"], 2, 1), (ALPHABETS["letters"], 4, 2)):
        terms = Terms.learnt(alphabet, texts_of(split), longest, least, 10**6)
        values_NF = values_of([Block.learnt(terms, terms.counted(texts_of(split)))], texts_of(split))
        expected_NF = theirs[alphabet].fit_transform(texts)
        assert values_NF.shape == expected_NF.shape
        # in whichever order the terms come
        np.testing.assert_allclose(
            (values_NF @ values_NF.T).toarray(), (expected_NF @ expected_NF.T).toarray(), atol=1e-12
        )


def _letters(text: str) -> list[str]:
    small = [folded(letter) for letter in text]
    return ["".join(small[at : at + size]) for size in range(1, 5) for at in range(len(small) - size + 1)]


def test_planes_are_those_of_scikit_learn(tmp_path: Path) -> None:
    dataset = page_dataset()
    config = LinearConfig(terms="both", cost=0.5, weighting="idf")
    fitted, _ = fitted_linear(dataset, tmp_path / "fitted", config)
    values_NF = values_of(fitted.blocks, texts_of(dataset.test))
    labels_N = dataset.train.labels_N
    train_NF = values_of(fitted.blocks, texts_of(dataset.train))
    planes = Machine(0.5, "idf", len(PAGES), 0).fit(train_NF, labels_N)
    theirs = LinearSVC(C=0.5, tol=TOLERANCE, dual=True, random_state=0).fit(train_NF, labels_N)
    expected_NK = SHARPNESS * theirs.decision_function(values_NF)
    np.testing.assert_allclose(planes.logits(values_NF), expected_NK, atol=1e-5)


def test_never_more_terms_than_asked_for() -> None:
    texts = texts_of(page_dataset().train)
    every, fewer = (Terms.learnt("letters", texts, 4, 1, most) for most in (10**6, 1000))
    assert len(fewer) <= 1000 < len(every)
    assert set(fewer.symbols.table) <= set(every.symbols.table)


@pytest.mark.parametrize("pages", [PAGES, PAGES[:2]])
def test_the_same_fit_twice_is_the_same_and_learns(pages: tuple[str, ...], tmp_path: Path) -> None:
    dataset = page_dataset(pages)
    (first, reports), (second, _) = (fitted_linear(dataset, tmp_path / name) for name in ("first", "second"))
    logits_NK = first.logits(dataset.test)
    assert np.array_equal(logits_NK, second.logits(dataset.test))
    assert (logits_NK.argmax(1) == dataset.test.labels_N).mean() > 0.8
    record = json.loads((tmp_path / "first" / RESULT_FILE).read_text())
    best = min(reports, key=lambda report: report.calibrated_loss)
    assert record["best_epoch"] == best.epoch and [report.epoch for report in reports] == [1, 2, 3, 4, 5]
    assert first.size().parameters == sum(len(block.terms) for block in first.blocks) * len(pages) + len(
        pages
    )


def test_what_the_recipe_says_is_not_chosen(tmp_path: Path) -> None:
    config = LinearConfig(terms="words", cost=0.2, weighting="idf")
    fitted, reports = fitted_linear(page_dataset(), tmp_path / "fitted", config)
    assert len(reports) == 1 and [block.terms.symbols.alphabet for block in fitted.blocks] == ["words"]


def test_counts_do_not_depend_on_how_many_are_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = texts_of(page_dataset().train)
    terms = Terms.learnt("letters", texts, 3, 1, 10**6)
    whole_NF = terms.counted(texts)
    monkeypatch.setattr("modelyard.training.terms.BLOCK_BYTES", 700)
    assert (terms.counted(texts) != whole_NF).nnz == 0


def test_more_texts_than_are_searched_are_fitted_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train = make_splits(page_dataset(), DataConfig()).train
    monkeypatch.setattr("modelyard.training.linear.SEARCHED_BYTES", 6_000)
    config = LinearConfig(terms="letters", cost=0.3, weighting="idf")
    fitted, _ = fitted_linear(page_dataset(), tmp_path / "fitted", config)
    values_NF = values_of(fitted.blocks, texts_of(train))
    expected = Machine(0.3, "idf", len(PAGES), 0).fit(values_NF, train.labels_N)
    assert len(values_NF.data) and np.array_equal(fitted.planes.weights_KF, expected.weights_KF)


def test_a_text_of_unknown_terms_gets_a_finite_answer(tmp_path: Path) -> None:
    fitted, _ = fitted_linear(page_dataset(), tmp_path / "fitted")
    strange = text_dataset([("", 0), ("龘", 1), ("\u2603" * 50, 2)], [("", 0)], PAGES, longest=120).train
    assert np.isfinite(fitted.logits(strange)).all()


def test_texts_of_one_class_are_refused(tmp_path: Path) -> None:
    dataset = text_dataset([("yes", 0)] * 8 + [("no", 1)] * 2, [("yes", 0)], validation_rows=2)
    with pytest.raises(TrainingError, match="at least 2 classes, received 1; add"):
        fitted_linear(dataset, tmp_path / "fitted")


def test_texts_without_any_term_are_refused(tmp_path: Path) -> None:
    empty = [("", 0), (" ", 1)] * 8
    seldom = [(f"{number}", number % 2) for number in range(16)]
    for name, texts, config in (("empty", empty, None), ("seldom", seldom, LinearConfig(least=50))):
        with pytest.raises(TrainingError, match="no word is in as many training texts as model"):
            fitted_linear(text_dataset(texts, texts[:2], validation_rows=4), tmp_path / name, config)
