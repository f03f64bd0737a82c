"""Samples without labels, brought to the form of the prepared data and copied below `steps/`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from modelyard.data.datasets import Dataset, Split
from modelyard.data.packed import UNLABELLED, open_packed, pack_unlabelled, unlabelled_digest
from modelyard.data.splits import make_splits
from modelyard.errors import ConfigError, DataError
from modelyard.files import make_folder, sha256_of_json, write_json
from modelyard.home import Home, cache_folder
from modelyard.inspection.measures import measures_of
from modelyard.progress import current_progress
from modelyard.recipes.recipe import Recipe
from modelyard.sources.found import Unsorted
from modelyard.sources.unsorted import load_unsorted, state_of


def bring_samples(recipe: Recipe, data: Path, home: Home) -> str:
    """The digest of the folder; read only when a file or the data have changed.

    Raises: ConfigError where nothing is learnt of them; DataError, also where test or validation samples are
    among them.
    """
    if recipe.training.unlabelled is None and recipe.pretrain is None:
        raise ConfigError(
            "data.unlabelled: expected a way to learn of them, received none; --set "
            "training.unlabelled=fixmatch, or pretrain=masked"
        )
    dataset, name = open_packed(data, verify=False), recipe.data.unlabelled or ""
    options = recipe.data.folder_options()
    asked = [name, state_of(name), dataset.digest, recipe.data.split_seed, recipe.data.validation_share]
    known = make_folder(cache_folder() / UNLABELLED)
    entry = known / f"{sha256_of_json([*asked, repr(options)])[:16]}.json"
    with suppress(OSError, ValueError, KeyError):
        told = json.loads(entry.read_text())
        if _folder(home, told["digest"]).exists():
            return _said(told["digest"], told["notes"])
    with TemporaryDirectory(dir=known) as scratch:
        found = load_unsorted(name, dataset, options, Path(scratch), current_progress.get().work)
        notes = [*found.notes, *_compared(found, dataset, recipe)]
        digest = unlabelled_digest(found.split)
        pack_unlabelled(found.split, _folder(home, digest))
    write_json(entry, {"digest": digest, "notes": notes})
    return _said(digest, notes)


def _folder(home: Home, digest: str) -> Path:
    return home.steps / f"{UNLABELLED}-{digest[:16]}"


def _said(digest: str, notes: list[str]) -> str:
    for note in notes:
        current_progress.get().say(f"NOTE: unlabelled: {note}")
    return digest


def _compared(found: Unsorted, dataset: Dataset, recipe: Recipe) -> Iterator[str]:
    """What to say of samples that are training samples, too. Raises: DataError for held-out ones."""
    splits = make_splits(dataset, recipe.data)
    digests, many = _digests(found.split), dataset.form.names.many
    for part in ("test", "validation"):
        held_out = {*_digests(getattr(splits, part))}
        if among := [
            place for place, digest in zip(found.places, digests, strict=True) if digest in held_out
        ]:
            raise DataError(
                f"{recipe.data.unlabelled}: {len(among):,} of its {len(digests):,} {many} are {part} {many}"
                f" of {dataset.name}, such as {among[0]}; take them out, or what is measured would flatter"
            )
    known = {*_digests(splits.train)} | ({*_digests(splits.left_out)} if splits.left_out else set())
    yield f"{len(digests):,} {many}"
    if twice := sum(digest in known for digest in digests):
        yield f"{twice:,} of them are training {many}, too"


def _digests(split: Split) -> list[bytes]:
    return measures_of(split.form).look_at(split).digests
