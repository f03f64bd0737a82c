"""Whether a judged candidate may take the champion's place: the objective first, then the gates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from modelyard.promotion.gates import verdict_rows
from modelyard.promotion.judging import Judgement
from modelyard.registry.versions import Version

REFUSED = "refused by its gates"
NOT_COMPARED = "cannot be compared with the champion"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Whether a candidate may lead, and why."""

    reason: str
    may_lead: bool = False


def compare(judgement: Judgement, champion: Version | None) -> Comparison:
    """Why a candidate may lead or not: the objective, then the gates.

    Validation scores on different data say nothing of each other; there the test on the candidate's images
    decides, and where there can be none, a person.
    """
    version = judgement.version
    changed = champion is not None and data_changed(version, champion)
    is_equal = champion is not None and champion.is_lost and objective(version) == objective(champion)
    if champion is not None and not (changed or is_equal or objective(version) > objective(champion)):
        return Comparison(f"not better on validation than version {champion.number}")
    if judgement.refusals:
        return Comparison(f"{REFUSED}, {judgement.refusals}")
    if champion is None:
        return Comparison("first champion", may_lead=True)
    if judgement.not_compared:
        return Comparison(f"{NOT_COMPARED}: {judgement.not_compared}")
    overall = judgement.find("overall")
    better = "trained on changed data" if changed else f"better on validation than version {champion.number}"
    if is_equal:
        better = f"as good on validation as version {champion.number}, which MLflow has no more"
    return Comparison(f"{better}, {overall.reason}", may_lead=True)


def evidence(judgement: Judgement, champion: Version | None) -> dict[str, Any]:
    """What the ledger keeps of a decision, as JSON."""
    row: dict[str, Any] = {"validation_accuracy": objective(judgement.version)[0]}
    if champion is not None:
        row["champion_validation_accuracy"] = objective(champion)[0]
    number = None if champion is None else champion.number
    return row | {"champion_version": number, "verdicts": verdict_rows(judgement.verdicts)}


def objective(version: Version) -> tuple[float, float]:
    """Validation accuracy, then validation likelihood; higher is better."""
    return version.score("validation_accuracy"), -version.score("validation_nll")


def data_changed(candidate: Version, other: Version) -> bool:
    """Whether two versions were made from different data."""
    return candidate.tags.get("data_digest") != other.tags.get("data_digest")
