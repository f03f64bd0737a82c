"""How data differ from those the champion was trained on, and whether they are fit for a training."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from modelyard.bundle import Manifest
from modelyard.data.packed import open_packed
from modelyard.errors import DataError, DataRefused, StoreError
from modelyard.evaluation.board import board_markdown
from modelyard.home import Home
from modelyard.inference.files import released_folder
from modelyard.inspection.drift import DriftTest, compare_classes, compare_profiles
from modelyard.inspection.profile import Profile, SplitProfile, kept_profile, read_profile
from modelyard.inspection.validation import Reference, ValidationConfig, find_problems
from modelyard.releases.folders import read_release
from modelyard.terminal.printable import in_markdown

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class DataReport:
    """What is known of the data before anything is trained on them."""

    dataset: str
    digest: str
    reference: str | None
    """What they were compared with; None when there is no champion yet."""
    changed: bool
    """Whether the content differs; also true where there is no champion."""
    rows: tuple[Row, ...]
    """What differs in a few rows: `what`, `before`, `now`."""
    details: tuple[Row, ...]
    """The same of each class, and of all samples together."""
    tests: tuple[DriftTest, ...]
    problems: tuple[str, ...]
    """Why the data are not fit to be trained on unwatched; empty when they are."""

    @property
    def drifted(self) -> tuple[DriftTest, ...]:
        """The differences that are significant and large."""
        return tuple(test for test in self.tests if test.drifted)

    @property
    def summary(self) -> str:
        """One line."""
        if self.reference is None:
            return f"{self.dataset}: no champion yet to compare the data with"
        if not self.changed:
            return f"{self.dataset}: data unchanged since {self.reference}"
        differences = [f"{row['what']} {row['before']} -> {row['now']}" for row in self.rows]
        differences += [f"{test.what} drifted by {test.effect:.3f}" for test in self.drifted]
        return (
            f"{self.dataset}: data changed since {self.reference}: "
            f"{'; '.join(differences) or 'no class or count, no drift'}"
        )

    def test_rows(self) -> list[Row]:
        """The tests as a table."""
        return [
            {
                "what": test.what,
                "test": test.test,
                "samples": f"{test.before:,} / {test.now:,}",
                "effect": round(test.effect, 4),
                "p": f"{test.p_value:.3g}",
                "p corrected": f"{test.corrected:.3g}",
                "drift": "yes" if test.drifted else "no",
            }
            for test in self.tests
        ]

    def markdown(self) -> str:
        """The report as a page."""
        parts = [f"# {in_markdown(self.summary)}"]
        if self.problems:
            parts += ["## Refused", "\n".join(f"- {in_markdown(problem)}" for problem in self.problems)]
        parts += [board_markdown(rows) for rows in (self.rows + self.details, self.test_rows()) if rows]
        return "\n\n".join(parts)

    def as_json(self) -> dict[str, Any]:
        """Everything, for scripts."""
        return asdict(self) | {"summary": self.summary, "drifted": bool(self.drifted)}


def examine(home: Home, prepared: dict[str, str], rules: ValidationConfig) -> DataReport:
    """Compare data as `prepare` gave them with what the champion of their model was trained on.

    The samples are not read where the data were prepared before: their profile is in the store.
    """
    now = read_profile(home, prepared["data_digest"])
    if now is None:
        now = kept_profile(home, open_packed(home.steps / prepared["data_step"], verify=False))
    now = now.model_copy(
        update={"name": prepared["dataset"]}
    )  # kept with the content, which two models may share
    return report(now, champion_of(home, prepared["dataset"]), rules)


def refuse_unfit(found: DataReport) -> None:
    """Raises: DataRefused naming every problem."""
    if found.problems:
        raise DataRefused(
            f"{found.dataset}: these data are refused: {'; '.join(found.problems)}", list(found.problems)
        )


def champion_of(home: Home, model: str) -> Reference | None:
    """What the champion was trained on, or None. Raises: StoreError, BundleError for an altered one."""
    try:
        folder = released_folder(home, f"{model}@champion")
    except StoreError:
        return None
    return _reference(home, folder)


def release_reference(home: Home, model: str) -> Reference:
    """What a release was trained on. Raises: StoreError when there is no such release."""
    return _reference(home, released_folder(home, model))


def _reference(home: Home, folder: Path) -> Reference:
    manifest = read_release(folder).manifest
    return Reference(
        f"{manifest.model_name} version "
f"{folder.name}", manifest.classes, manifest.form, manifest.data_digest,
        _profile_of_release(home, manifest),
    )  # fmt: skip


def _profile_of_release(home: Home, manifest: Manifest) -> Profile | None:
    """Kept since the training, or made of its data where those are still there."""
    kept = read_profile(home, manifest.data_digest)
    folder = home.data_step(manifest.data_digest)
    if kept is not None or not folder.is_dir():
        return kept
    try:
        return kept_profile(home, open_packed(folder, verify=False))
    except DataError:
        return None


def dataset_reference(profile: Profile) -> Reference:
    """A data set in the champion's place."""
    return Reference(profile.name, profile.classes, profile.form, profile.digest, profile)


def report(now: Profile, before: Reference | None, rules: ValidationConfig) -> DataReport:
    """The comparison of two data sets, and whether `now` may be trained on."""
    changed = before is None or before.digest != now.digest
    tests = (
        compare_profiles(before.profile, now, rules.limits(now.form))
        if changed and before and before.profile
        else []
    )
    rows = list(_differences(before, now)) if changed and before else []
    details = list(_details(before.profile, now)) if changed and before and before.profile else []
    name = before.name if before else None
    problems = find_problems(now, before, tests, rules)
    return DataReport(
        now.name, now.digest, name, changed, tuple(rows), tuple(details), tuple(tests), tuple(problems)
    )


def _differences(before: Reference, now: Profile) -> Iterator[Row]:
    classes = compare_classes(before.classes, now.classes)
    if before.classes != now.classes:
        yield _row("classes", len(before.classes), len(now.classes))
    changes = [("removed", name, "gone") for name in classes.removed] + [
        ("added", "none", name) for name in classes.added
    ]
    changes += [("renamed", old, new) for old, new in classes.renamed]
    for what, old, new in changes:
        yield _row(f"class {what}", old, new)
    if before.form != now.form:
        yield _row(now.form.axes, str(before.form), str(now.form))
    many = now.form.names.many
    if before.profile is None:
        yield _row(f"{many} and their counts", "not kept", "not compared")
        return
    yield from _unequal(f"train {many}", before.profile.train.total, now.train.total)
    yield from _unequal(f"test {many}", before.profile.test.total, now.test.total)


def _details(before: Profile, now: Profile) -> Iterator[Row]:
    for part in ("train", "test"):
        old, new = getattr(before, part), getattr(now, part)
        old_counts, new_counts = (
            dict(zip(p.classes, s.counts, strict=True)) for p, s in ((before, old), (now, new))
        )
        for name in {**old_counts, **new_counts}:
            what = f"{part} {now.form.names.many} of {name}"
            yield from _unequal(what, old_counts.get(name, 0), new_counts.get(name, 0))
        for what in new.overall:
            yield from _unequal(f"{part} {what}", _values(old, what), _values(new, what))


def _values(split: SplitProfile, what: str) -> str:
    return ", ".join(f"{value:.2f}" for value in split.overall.get(what, ()))


def _unequal(what: str, before: object, now: object) -> Iterator[Row]:
    if before != now:
        yield _row(what, before, now)


def _row(what: str, before: object, now: object) -> Row:
    return {"what": what, "before": before, "now": now}
