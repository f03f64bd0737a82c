"""Which version leads: one that passes every gate and, where nobody chose it by hand, is better on
validation.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from modelyard.bundle import MODEL_FILE
from modelyard.errors import AliasMovedError
from modelyard.home import Home
from modelyard.promotion.comparison import (
    NOT_COMPARED,
    REFUSED,
    Comparison,
    compare,
    data_changed,
    evidence,
    objective,
)
from modelyard.promotion.judging import Judgement, judge, keep
from modelyard.promotion.limits import GatesConfig
from modelyard.registry.aliases import Move, move_alias, settle
from modelyard.registry.lineage import last_moves, lineage, serving_version
from modelyard.registry.standing import report_discrepancies
from modelyard.registry.versions import Version, versions
from modelyard.registry.vouching import vouched_tags
from modelyard.releases.ledger import read_ledger
from modelyard.releases.pointers import CHAMPION

ATTEMPTS = 20
"""How often a candidate is judged anew because another process changed the champion meanwhile."""
Outcome = TypeVar("Outcome")


@dataclass(frozen=True, slots=True)
class Verdict:
    """A promotion decision and its reason."""

    chosen: Version | None
    """The candidate that is to be champion; None leaves the champion as it is."""
    why: str
    evidence: dict[str, Any]
    judgements: tuple[Judgement, ...] = ()
    """One for each candidate that was judged."""

    @property
    def promoted(self) -> bool:
        return self.chosen is not None

    @property
    def refused(self) -> bool:
        """Whether a gate kept back a candidate that was better, or nobody can say; not being better is no
        refusal.
        """
        return not self.promoted and (REFUSED in self.why or NOT_COMPARED in self.why)


def promote(home: Home, candidates: list[Version], data: Path, gates: GatesConfig) -> Verdict:
    """Move each architecture's alias and, if a candidate passes objective and gates, `champion` (`previous`
    follows).

    `data` is the packed data set on whose test images candidates and champion are compared.
    """
    settle(home, candidates[0].name)

    def once() -> Verdict:
        verdict = _choose(home, candidates, data, gates)
        for judgement in verdict.judgements:
            keep(home, judgement)
            _follow_architecture(home, judgement)
        if verdict.chosen is not None:
            move = Move(verdict.chosen, CHAMPION, verdict.why, evidence=verdict.evidence)
            move_alias(home, move, expected=verdict.evidence["champion_version"])
        return verdict

    verdict = judged_anew(once)
    report_discrepancies(home, candidates[0].name)
    return verdict


def judged_anew(once: Callable[[], Outcome]) -> Outcome:
    """What it gives; done again when another process moved the alias meanwhile. Raises: AliasMovedError in
    the end.
    """
    for _ in range(ATTEMPTS - 1):
        with suppress(AliasMovedError):
            return once()
    return once()


def _choose(home: Home, candidates: list[Version], data: Path, gates: GatesConfig) -> Verdict:
    """The best candidate that may lead, if one may; all are judged, so that each has its verdicts."""
    known = versions(home, candidates[0].name)
    champion = leader(home, candidates[0].name, known)
    ledger = read_ledger(home.releases_of(candidates[0].name))
    withdrawn = {ledger.files_of(number).get(MODEL_FILE) for number in lineage(ledger.moves).withdrawn}
    ranked = sorted(candidates, key=objective, reverse=True)
    judgements = tuple(judge(home, candidate, champion, data, gates) for candidate in ranked)
    refused: dict[str, list[int]] = {}
    for judgement in judgements:
        version = judgement.version
        if champion is not None and version.number == champion.number:
            return Verdict(None, _join(refused, "it is the champion already"), {}, judgements)
        comparison = compare(judgement, champion)
        if version.digest in withdrawn:
            comparison = Comparison("a rollback withdrew it; promote it by hand")
        if comparison.may_lead:
            why = _join(refused, comparison.reason)
            return Verdict(version, why, evidence(judgement, champion), judgements)
        refused.setdefault(comparison.reason, []).append(version.number)
    unknown = [
        judgement.version for judgement in judgements if judgement.not_compared and not judgement.failed
    ]
    manual = [
        f"to promote it by hand: modelyard models promote {version.name}@{version.number}"
        for version in unknown[:1]
    ]
    why = "; ".join([_join(refused), *manual])
    return Verdict(None, why, evidence(judgements[0], champion), judgements)


def _join(refused: dict[str, list[int]], outcome: str = "") -> str:
    """One line: what came of it, and who was refused for what where that is not said already."""
    if not outcome and len(refused) == 1:
        return next(iter(refused))
    told = [
        f"not version{'s' if len(numbers) > 1 else ''} {' and '.join(map(str, numbers))}: {reason}"
        for reason, numbers in refused.items()
    ]
    return "; ".join([outcome] * bool(outcome) + told)


def holder(known: list[Version], alias: str) -> Version | None:
    """The version that an alias points to."""
    return next((version for version in known if alias in version.aliases), None)


def leader(home: Home, model: str, known: list[Version]) -> Version | None:
    """The champion; one that is served though MLflow has it no more as its release tells of it."""
    folder = home.releases_of(model)
    last = last_moves(read_ledger(folder).moves).get(CHAMPION)
    number = None if last is None else serving_version(folder, last)
    if last is None or number is None or last.to is not None:
        return holder(known, CHAMPION)
    return Version(model, number, vouched_tags(folder / str(number), last.onnx_sha256), (), "")


def _follow_architecture(home: Home, judgement: Judgement) -> None:
    """The alias of its architecture goes to the best on validation among those that pass parity.

    What cannot be compared with the champion moves none: it may be another model.
    """
    if judgement.not_compared:
        return
    version = judgement.version
    alias = version.tags["architecture"]
    now = holder(versions(home, version.name), alias)
    better = now is None or data_changed(version, now) or objective(version) > objective(now)
    if judgement.find("parity").passed and (better or (now is not None and now.number == version.number)):
        move = Move(version, alias, "best of its architecture on validation")
        move_alias(home, move, expected=None if now is None else now.number)
