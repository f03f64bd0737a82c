"""Which data may be trained on when nobody watches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydantic import Field

from modelyard.config import Config
from modelyard.inspection.drift import Classes, DriftTest, Limits, compare_classes, is_of_labels
from modelyard.inspection.measures import measures_of
from modelyard.inspection.profile import Profile
from modelyard.samples import Form
from modelyard.terminal.printable import listed


class ValidationConfig(Config):
    """What data must fulfil; judged before a scheduled training. No weight depends on it."""

    min_images_per_class: int = Field(10, ge=2)
    """Training samples: images or texts."""
    min_test_images_per_class: int = Field(1, ge=0)
    max_duplicate_share: float = Field(0.2, ge=0, le=1)
    """Training samples equal to another one, as a share of all."""
    max_leak_share: float = Field(0.01, ge=0, le=1)
    """Test samples that are also in train, as a share of all test samples."""
    allow_removed_classes: bool = False
    """Whether classes of the champion may be missing, renamed or in another order."""
    allow_other_shape: bool = False
    """Whether height, width or channels, or the longest text, may differ from the champion's."""
    min_size_share: float = Field(0.5, ge=0, le=1)
    """Training samples now, as a share of those the champion had."""
    significance: float = Field(0.01, gt=0, lt=1)
    """Level of all drift tests of a comparison together."""
    label_drift: float = Field(0.05, ge=0, le=1)
    """Cramer's V above which a significant difference of label shares is called drift."""
    pixel_drift: float = Field(0.05, ge=0, le=1)
    """Images: Kolmogorov-Smirnov distance above which a significant difference of brightness is called
    drift.
    """
    symbol_drift: float = Field(0.05, ge=0, le=1)
    """Texts: the same of lengths, symbols and words."""
    max_label_drift: float | None = Field(None, ge=0, le=1)
    """Cramer's V above which drift refuses; None only warns."""
    max_pixel_drift: float | None = Field(None, ge=0, le=1)
    """Images: Kolmogorov-Smirnov distance above which drift refuses; None only warns."""
    max_symbol_drift: float | None = Field(None, ge=0, le=1)
    """Texts: the same."""

    def limits(self, form: Form) -> Limits:
        """What counts as drift of such samples."""
        return Limits(self.significance, self.label_drift, getattr(self, measures_of(form).drift))


@dataclass(frozen=True, slots=True)
class Reference:
    """What the champion was trained on."""

    name: str
    """For people: `mnist version 3`."""
    classes: tuple[str, ...]
    form: Form
    digest: str
    profile: Profile | None
    """None where the data were gone before a profile was made."""


def find_problems(
    now: Profile, before: Reference | None, tests: Sequence[DriftTest], rules: ValidationConfig
) -> list[str]:
    """Each reason to refuse the data: what was found, what was expected, and what `--set` accepts it."""
    problems = [*_of_itself(now, rules)]
    if before is not None:
        problems += [*_against(now, before, rules), *_drift(now, tests, rules)]
    return problems


def _of_itself(now: Profile, rules: ValidationConfig) -> Iterator[str]:
    many = now.form.names.many
    for part, least, key in (
        ("training", rules.min_images_per_class, "min_images_per_class"),
        ("test", rules.min_test_images_per_class, "min_test_images_per_class"),
    ):
        counts = (now.train if part == "training" else now.test).counts
        few = [f"{name} {count}" for name, count in zip(now.classes, counts, strict=True) if count < least]
        if few:
            yield f"classes with fewer than {least} {part} {many}: {listed(few)} (--set validation.{key}=...)"
    for what, found, total, most, key in (
        (
            f"training {many} equal to another one",
            now.train.duplicates,
            now.train.total,
            rules.max_duplicate_share,
            "max_duplicate_share",
        ),
        (
            f"test {many} that are also in train",
            now.leaks,
            now.test.total,
            rules.max_leak_share,
            "max_leak_share",
        ),
    ):
        if found > most * total:
            share = f"{found:,} of {total:,} ({found / total:.1%})"
            yield f"{what}: {share}, at most {most:.1%} expected (--set validation.{key}=...)"


def _against(now: Profile, before: Reference, rules: ValidationConfig) -> Iterator[str]:
    classes = compare_classes(before.classes, now.classes)
    if not rules.allow_removed_classes and (changes := _lost(classes)):
        alone = set(before.classes).isdisjoint(now.classes)
        own = f"; none in common with {before.name}: a model of its own takes --name NAME" if alone else ""
        yield f"{'; '.join(changes)} (--set validation.allow_removed_classes=true){own}"
    if not rules.allow_other_shape and now.form != before.form:
        yield (
            f"{now.form.names.many} of {now.form}, {now.form.axes}, {before.form} before (--set "
            "validation.allow_other_shape=true)"
        )
    left, were = now.train.total, before.profile.train.total if before.profile else 0
    if left < rules.min_size_share * were:
        share = f"{left:,} of {were:,} training {now.form.names.many} are left ({left / were:.1%})"
        yield f"{share}, at least {rules.min_size_share:.0%} expected (--set validation.min_size_share=...)"


def _lost(classes: Classes) -> list[str]:
    changes = []
    if classes.removed:
        changes.append(f"classes gone: {listed(classes.removed)}")
    if classes.renamed:
        changes.append(f"classes renamed: {listed([f'{old} to {new}' for old, new in classes.renamed])}")
    if classes.reordered:
        changes.append("the classes are in another order")
    return changes


def _drift(now: Profile, tests: Sequence[DriftTest], rules: ValidationConfig) -> Iterator[str]:
    for test in tests:
        key = f"max_{'label_drift' if is_of_labels(test) else measures_of(now.form).drift}"
        most: float | None = getattr(rules, key)
        if test.drifted and most is not None and test.effect > most:
            yield (
                f"{test.what} drifted by {test.effect:.3f}, at most {most:g} expected (--set "
                f"validation.{key}=...)"
            )
