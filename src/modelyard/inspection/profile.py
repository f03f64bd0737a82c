"""What later runs need to know of a data set when its samples are gone: counts, equal samples, what they are
like.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from modelyard.config import Config
from modelyard.data.datasets import Dataset, Labels, Split
from modelyard.errors import StoreError
from modelyard.files import parse_json, write_json
from modelyard.home import Home
from modelyard.inspection.measures import MEASURES, measures_of
from modelyard.inspection.measures.protocol import Looked
from modelyard.samples import FORMS, Form, ImageForm

Histogram = dict[int, int]
"""Bin -> how many samples lie in it; empty bins are left out."""


class SplitProfile(Config):
    """One split in numbers."""

    counts: tuple[int, ...]
    """Samples of each class, in the order of the classes."""
    histograms: dict[str, Histogram]
    """Feature -> of each sample's value; the bins have an order."""
    draws: dict[str, Histogram]
    """The same of categories, of which one was drawn from each sample."""
    overall: dict[str, tuple[float, ...]]
    """Of all samples together."""
    empty: int
    """Samples that show nothing: images of one colour."""
    duplicates: int
    """Samples equal to an earlier one of the split."""

    @property
    def total(self) -> int:
        """How many samples there are."""
        return sum(self.counts)


class Profile(Config):
    """A data set in numbers, enough for tests against another one without the samples of either."""

    schema_version: Literal[2] = 2
    name: str
    digest: str
    classes: tuple[str, ...]
    kind: str
    sides: dict[str, int]
    """What `form` is, as JSON."""
    train: SplitProfile
    test: SplitProfile
    leaks: int
    """Test samples that are also in train."""

    @property
    def form(self) -> Form:
        """What one sample is. Raises: ValueError, KeyError for one that was altered."""
        return FORMS[self.kind].from_json(self.sides)


def profile_of(dataset: Dataset) -> Profile:
    """Read every sample once, a block at a time."""
    train, test = (measures_of(dataset.form).look_at(split) for split in (dataset.train, dataset.test))
    known = set(train.digests)
    return Profile(
        name=dataset.name,
        digest=dataset.digest,
        classes=dataset.classes,
        kind=dataset.form.kind,
        sides=asdict(dataset.form),
        train=_profile(dataset.train, train, len(dataset.classes)),
        test=_profile(dataset.test, test, len(dataset.classes)),
        leaks=sum(digest in known for digest in test.digests),
    )


def kept_profile(home: Home, dataset: Dataset) -> Profile:
    """The profile kept in the store; made and kept when it is not there. It outlives the data's step."""
    kept = read_profile(home, dataset.digest)
    if kept is None:
        kept = profile_of(dataset)
        write_json(_place(home, dataset.digest), kept.model_dump(mode="json"))
    return kept


def read_profile(home: Home, digest: str) -> Profile | None:
    """What the store knows of the data with this digest; None for nothing, or nothing that can be read."""
    try:
        profile = Profile.model_validate(_present(parse_json(_place(home, digest).read_bytes())))
        return profile if profile.digest == digest and profile.form else None
    except (FileNotFoundError, ValueError, LookupError, TypeError, AttributeError):
        return None
    except OSError as error:
        raise StoreError(
            f"{_place(home, digest)} cannot be read ({error.strerror}); mend its permissions"
        ) from error


def _present(value: dict[str, Any]) -> dict[str, Any]:
    """In the present schema; the first one was of images alone."""
    return MEASURES[ImageForm.kind].from_schema_1(value) if value.get("schema_version") == 1 else value


def _place(home: Home, digest: str) -> Path:
    return home.profiles / f"{digest}.json"


def _profile(split: Split, looked: Looked, num_classes: int) -> SplitProfile:
    bins = measures_of(split.form).bins
    return SplitProfile(
        counts=_counts(split.labels_N, num_classes),
        histograms={name: _histogram(bins[name](looked.features[name])) for name in bins},
        draws={name: _histogram(drawn_N) for name, drawn_N in looked.draws.items()},
        overall=dict(looked.overall),
        empty=looked.empty,
        duplicates=len(looked.digests) - len(set(looked.digests)),
    )


def _counts(labels_N: Labels, num_classes: int) -> tuple[int, ...]:
    return tuple(int(count) for count in np.bincount(labels_N, minlength=num_classes))


def _histogram(bins_N: NDArray[np.int64]) -> Histogram:
    bins, counts = np.unique(bins_N, return_counts=True)
    return dict(zip(bins.tolist(), counts.tolist(), strict=True))
