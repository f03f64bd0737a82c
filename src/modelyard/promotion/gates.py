"""Each gate's verdict on a candidate, from what was measured of it and from the pair with the champion."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from modelyard.promotion.limits import AtMost, GatesConfig
from modelyard.promotion.pairs import Change, Pair

TOLD_CLASSES = 2
"""Of the classes that got worse, in the reason's one line; the evidence has all."""


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """One gate: what was found, what is allowed, and why it passed or not."""

    name: str
    passed: bool
    value: float | None
    limit: float | None
    reason: str
    evidence: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a candidate alone; NaN where it was not measured."""

    difference: float
    """Largest difference of a probability between torch and onnxruntime."""
    accuracy: float
    num_classes: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    """The manifest's, and `onnx/bytes` of the released file."""
    majority_share: float = math.nan
    """Share of test of its largest class."""
    recalls: Mapping[str, float] = field(default_factory=dict)
    """The lowest on test by class, lowest first."""
    never_given: float = math.nan
    """How many classes that have some validation samples are never answered there."""
    never_given_names: tuple[str, ...] = ()
    """The largest of them."""


def judge_gates(gates: GatesConfig, facts: Facts, pair: Pair | str) -> list[GateVerdict]:
    """All verdicts in a fixed order; where there is no pair to compare, `pair` says why."""
    calibration, *measured = [_measured(gate, limit, facts) for gate, limit in gates.measured()]
    return [
        parity(gates, facts),
        _accuracy(gates, facts),
        _compared("overall", pair, lambda found: _overall(gates, found)),
        _compared("per class", pair, lambda found: _per_class(gates, found)),
        calibration,
        _compared("calibration change", pair, lambda found: _calibration_change(gates, found)),
        *measured,
        _recall(gates, facts),
        _every_class(gates, facts),
    ]


def parity(gates: GatesConfig, facts: Facts) -> GateVerdict:
    """Does the released file answer as torch did? The one gate that an architecture's alias has, too."""
    return _at_most("parity", facts.difference, gates.parity, "largest difference of a probability {:.1e}")


def failed(verdicts: Sequence[GateVerdict]) -> list[GateVerdict]:
    """Those that did not pass."""
    return [verdict for verdict in verdicts if not verdict.passed]


def refusals(verdicts: Sequence[GateVerdict]) -> str:
    """The failed gates in one line; empty when all passed."""
    return "; ".join(f"{verdict.name}: {verdict.reason}" for verdict in failed(verdicts))


def verdict_rows(verdicts: Sequence[GateVerdict]) -> list[dict[str, Any]]:
    """Verdicts as JSON."""
    return [asdict(verdict) for verdict in verdicts]


def _number(value: float) -> float | None:
    """NaN and infinity have no JSON."""
    return value if math.isfinite(value) else None


def _at_most(name: str, value: float, limit: float | None, wording: str) -> GateVerdict:
    found = wording.format(value) if math.isfinite(value) else "not measured"
    if limit is None:
        return GateVerdict(name, True, _number(value), None, f"{found}, no limit set")
    passed = value <= limit  # NaN is not
    return GateVerdict(name, passed, _number(value), limit, f"{found}, at most {limit:g} allowed")


def _measured(gate: AtMost, limit: float | None, facts: Facts) -> GateVerdict:
    value = facts.metrics.get(gate.metric, math.nan) / gate.unit
    return _at_most(gate.gate, value, limit, gate.wording)


def _accuracy(gates: GatesConfig, facts: Facts) -> GateVerdict:
    limit = gates.min_accuracy
    if limit is None:
        measured = math.isfinite(facts.majority_share)
        guessing, found = (
            facts.majority_share if measured else 1 / facts.num_classes,
            f"{facts.accuracy:.4f} on test",
        )
        passed = facts.accuracy > guessing
        return GateVerdict(
            "accuracy", passed, _number(facts.accuracy), guessing, f"{found}, guessing gives {guessing:.4f}"
        )
    reason = f"{facts.accuracy:.4f} on test, at least {limit:g} demanded"
    return GateVerdict("accuracy", facts.accuracy >= limit, _number(facts.accuracy), limit, reason)


def _recall(gates: GatesConfig, facts: Facts) -> GateVerdict:
    lowest, value = next(iter(facts.recalls.items()), ("", math.nan))
    limit, found = (
        gates.min_recall,
        f"lowest recall {value:.4f} on test ({lowest})" if facts.recalls else "not measured",
    )
    if limit is None:
        return GateVerdict("recall", True, _number(value), None, f"{found}, no limit set")
    return GateVerdict(
        "recall", value >= limit, _number(value), limit, f"{found}, at least {limit:g} demanded"
    )


def _every_class(gates: GatesConfig, facts: Facts) -> GateVerdict:
    value = facts.never_given
    if not gates.every_class or not value > 0:  # NaN is not
        reason = "not asked for" if not gates.every_class else "each was" if value == 0 else "not measured"
        return GateVerdict("every class", True, _number(value), None, reason)
    more = f" and {value - len(facts.never_given_names):.0f} more" * (value > len(facts.never_given_names))
    reason = f"never gives {', '.join(facts.never_given_names)}{more} on validation"
    remedy = (
        "--set training.class_weights=balanced or training.sampling=balanced may teach it, "
        "gates.every_class=false accepts it"
    )
    return GateVerdict("every class", False, value, 0, f"{reason}; {remedy}")


def _compared(name: str, pair: Pair | str, compare: Callable[[Pair], GateVerdict]) -> GateVerdict:
    return GateVerdict(name, True, None, None, pair) if isinstance(pair, str) else compare(pair)


def _overall(gates: GatesConfig, pair: Pair) -> GateVerdict:
    change, (candidate_N, champion_N) = pair.overall(), pair.correct()
    evidence = change.told(pair.names) | {
        "accuracy": float(candidate_N.mean()),
        "champion_accuracy": float(champion_N.mean()),
    }
    worse = change.is_worse(gates.significance)
    reason = (
        f"{'significantly worse' if worse else 'not significantly worse'} on test{pair.note} "
        f"({_counts(change)})"
    )
    return GateVerdict("overall", not worse, change.p_value, gates.significance, reason, evidence)


def _per_class(gates: GatesConfig, pair: Pair) -> GateVerdict:
    if not gates.per_class:
        return GateVerdict("per class", True, None, None, "not asked for")
    changes = pair.by_class()
    worse = sorted(
        (change for change in changes if change.is_worse(gates.significance)),
        key=lambda change: change.p_value,
    )
    lowest = min((change.p_value for change in changes if change.lost > change.gained), default=1.0)
    told = ", ".join(f"{change.name} ({_counts(change)})" for change in worse[:TOLD_CLASSES])
    told += f" and {len(worse) - TOLD_CLASSES} more" if len(worse) > TOLD_CLASSES else ""
    reason = (
        f"significantly worse on class {told}"
        if worse
        else f"no class of {len(changes)} is significantly worse"
    )
    evidence = {"classes": [change.told(pair.names) for change in changes if change.lost or change.gained]}
    return GateVerdict("per class", not worse, lowest, gates.significance, reason, evidence)


def _calibration_change(gates: GatesConfig, pair: Pair) -> GateVerdict:
    candidate, champion = pair.calibration_errors()
    wording = f"ECE {candidate:.4f}, champion's {champion:.4f}, larger by {{:.4f}}"
    verdict = _at_most("calibration change", candidate - champion, gates.max_ece_increase, wording)
    return GateVerdict(
        verdict.name,
        verdict.passed,
        verdict.value,
        verdict.limit,
        verdict.reason,
        {"ece": candidate, "champion_ece": champion},
    )


def _counts(change: Change) -> str:
    return f"{change.gained} gained, {change.lost} lost, p = {change.p_value:.3g}"
