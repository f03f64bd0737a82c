"""Two versions' predictions on the same test samples, and what was measured of one. N samples, K classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from modelyard.bundle import MODEL_FILE, Bundle
from modelyard.data.datasets import Dataset
from modelyard.data.packed import open_packed
from modelyard.errors import StoreError
from modelyard.evaluation.files import TEST_FILE
from modelyard.evaluation.metrics import NEVER_GIVEN, RECALL, Probabilities, of_classes
from modelyard.home import Home
from modelyard.promotion.gates import Facts
from modelyard.promotion.pairs import Pair
from modelyard.registry.versions import Version, release_folder
from modelyard.releases.folders import demand_recorded, read_release
from modelyard.seals import is_sealed
from modelyard.terminal.printable import listed

NAN = float("nan")


def released(home: Home, version: Version) -> Bundle:
    """What a version's release holds, if ledger and registry know it so.

    Raises: StoreError or BundleError when it is gone, altered or another one.
    """
    folder = release_folder(home, version)
    if not folder.is_dir():
        raise StoreError(
            f"version {version.number} of {version.name} has no release folder {folder}; run its recipe again"
        )
    bundle = read_release(folder)
    demand_recorded(bundle, {MODEL_FILE: version.digest})
    return bundle


def facts(home: Home, version: Version) -> Facts:
    """What was measured when the version was made, and how its released file answers its golden
    samples here.
    """
    from modelyard.inference.session import classify, open_session  # a rollback asks no model

    bundle = released(home, version)
    raw, expected_BK = bundle.samples()
    found_BK = classify(open_session(bundle.model), raw)
    golden = float(np.abs(found_BK - expected_BK).max()) if found_BK.shape == expected_BK.shape else NAN
    metrics, classes = bundle.manifest.metrics, bundle.manifest.classes
    return Facts(
        # unlike max(), keeps NaN
        difference=float(np.maximum(golden, metrics.get("onnx/max_difference", golden))),
        accuracy=metrics.get("test/accuracy", NAN),
        num_classes=len(classes),
        metrics=metrics | {"onnx/bytes": float(len(bundle.model))},
        majority_share=metrics.get("test/majority_share", NAN),
        recalls=of_classes(metrics, RECALL, classes),
        never_given=metrics.get(f"{NEVER_GIVEN}/count", NAN),
        never_given_names=tuple(of_classes(metrics, NEVER_GIVEN, classes)),
    )


def data_folder(home: Home, version: Version) -> Path:
    """The packed data that a version was made from. Raises: StoreError when it is gone."""
    folder = home.data_step(version.tags.get("data_digest", ""))
    if not folder.is_dir():
        raise StoreError(
            f"the test data of version {version.number} of {version.name} are gone ({folder});"
            " modelyard run on its data set brings them back"
        )
    return folder


def pair_up(home: Home, candidate: Version, champion: Version, data: Path) -> Pair | str:
    """Both versions' predictions on the test samples of `data` whose classes both know; a sentence where one
    cannot read them.
    """
    dataset = open_packed(data, verify=False)
    candidate_NK, champion_NK = (_probabilities(home, version, dataset) for version in (candidate, champion))
    if isinstance(candidate_NK, str) or isinstance(champion_NK, str):
        return candidate_NK if isinstance(candidate_NK, str) else str(champion_NK)
    names = dataset.form.names
    labels_N, known_K = dataset.test.labels_N, np.asarray(~np.isnan(candidate_NK + champion_NK).all(axis=0))
    rows_N = np.flatnonzero(known_K[labels_N])
    if not rows_N.size:
        return f"no test {names.one} of {dataset.name} is of a class that both know"
    candidate_NK, champion_NK = (
        np.nan_to_num(answers_NK[rows_N]) for answers_NK in (candidate_NK, champion_NK)
    )
    note = "" if known_K.all() else f" {names.many} of the {known_K.sum()} classes that the champion knows"
    return Pair(candidate_NK, champion_NK, labels_N[rows_N], dataset.classes, rows_N, dataset.test, note)


def _probabilities(home: Home, version: Version, dataset: Dataset) -> Probabilities | str:
    """As recorded when the version was evaluated on these samples, else asked of its released file (NaN for
    classes that it does not know); a sentence where that has classes of its own, or samples of another form
    or read in another way.
    """
    recorded = home.steps / version.tags.get("evaluation", "none")
    if version.tags.get("data_digest") == dataset.digest and is_sealed(recorded):
        with np.load(recorded / TEST_FILE, allow_pickle=False) as test:
            return np.asarray(test["probabilities"], np.float64)
    bundle = released(home, version)
    form = bundle.manifest.form
    if lost := [name for name in bundle.manifest.classes if name not in dataset.classes]:
        own = (
            "; none is left, a model of its own takes --name NAME"
            if lost == list(bundle.manifest.classes)
            else ""
        )
        return f"classes of version {version.number} are gone: {listed(lost)}{own}"
    reading: Any = bundle.manifest.reading  # of the same kind or not
    if reading.decides != dataset.reading.decides:
        told = f"those of version {version.number} are {reading.told}"
        return f"{dataset.form.names.many} that are {dataset.reading.told}, {told}"
    if form != dataset.form:
        had = f"those of version {version.number} are of {form}"
        return f"{dataset.form.names.many} of {dataset.form}, {dataset.form.axes}, {had}"
    from modelyard.inference.session import classify, open_session

    session, encoding = open_session(bundle.model), bundle.encoding
    answers = [classify(session, encoding.raw(block)) for block in dataset.test.blocks()]
    answers_NK = np.full((len(dataset.test), len(dataset.classes)), np.nan)
    answers_NK[:, [dataset.classes.index(known) for known in bundle.manifest.classes]] = np.concatenate(
        answers
    )
    return answers_NK
