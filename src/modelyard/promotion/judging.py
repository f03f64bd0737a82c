"""Judging a candidate against the champion, and keeping the verdicts with the version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from modelyard.errors import StoreError
from modelyard.files import write_json
from modelyard.home import Home
from modelyard.promotion.gates import GateVerdict, judge_gates, refusals, verdict_rows
from modelyard.promotion.limits import GatesConfig
from modelyard.promotion.pairs import Pair
from modelyard.promotion.predictions import facts, pair_up
from modelyard.promotion.record import read_record, record_file
from modelyard.registry.versions import Version, release_folder
from modelyard.tracking.store import open_store

GATES_TAG = "modelyard.gates"


@dataclass(frozen=True, slots=True)
class Judgement:
    """All gates' verdicts on one version."""

    version: Version
    champion: int | None
    """Whom it was compared with."""
    gates: GatesConfig
    verdicts: tuple[GateVerdict, ...]
    is_champion: bool = False

    @property
    def refusals(self) -> str:
        """The failed gates in one line; empty when all passed."""
        return refusals(self.verdicts)

    @property
    def failed(self) -> list[str]:
        return [verdict.name for verdict in self.verdicts if not verdict.passed]

    @property
    def not_compared(self) -> str:
        """Why it and another champion could not be compared; empty where they were, or there is none."""
        overall = self.find("overall")
        return (
            "" if self.champion is None or self.is_champion or overall.value is not None else overall.reason
        )

    def find(self, gate: str) -> GateVerdict:
        """One gate's verdict by its name."""
        return next(verdict for verdict in self.verdicts if verdict.name == gate)

    def record(self) -> dict[str, Any]:
        """The judgement as JSON, but for its time."""
        return {
            "model": self.version.name,
            "version": self.version.number,
            "champion": self.champion,
            "passed": not self.failed,
            "gates": self.gates.model_dump(mode="json"),
            "verdicts": verdict_rows(self.verdicts),
        }


def judge(
    home: Home, candidate: Version, champion: Version | None, data: Path, gates: GatesConfig
) -> Judgement:
    """Try every gate on the candidate; `data` has the test images on which it meets the champion."""
    is_champion = champion is not None and champion.number == candidate.number
    pair: Pair | str = "it is the champion" if is_champion else "there is no champion to compare with"
    if champion is not None and not is_champion:
        pair = pair_up(home, candidate, champion, data)
    verdicts = tuple(judge_gates(gates, facts(home, candidate), pair))
    return Judgement(candidate, None if champion is None else champion.number, gates, verdicts, is_champion)


def verdict_table(judgements: Sequence[Judgement]) -> list[dict[str, Any]]:
    """One row for each version and gate."""
    return [
        {
            "version": judgement.version.number,
            "gate": verdict.name,
            "passed": verdict.passed,
            "reason": verdict.reason,
        }
        for judgement in judgements
        for verdict in judgement.verdicts
    ]


def keep(home: Home, judgement: Judgement) -> None:
    """Write the verdicts beside the release and in short on the registered version."""
    release, record = release_folder(home, judgement.version), judgement.record()
    kept = read_record(release)
    if kept.items() >= record.items() or (kept and judgement.is_champion):
        return  # the champion keeps what it was promoted by
    write_json(record_file(release), record | {"judged": datetime.now(UTC).isoformat()})
    client, _ = open_store(home)
    tag = f"failed: {', '.join(judgement.failed)}" if judgement.failed else "passed"
    client.set_model_version_tag(judgement.version.name, str(judgement.version.number), GATES_TAG, tag)


def gates_of(home: Home, version: Version) -> GatesConfig:
    """The gates that a version was last judged by; the default ones before that. Raises: StoreError."""
    release = release_folder(home, version)
    try:
        return GatesConfig.model_validate(read_record(release).get("gates", {}))
    except ValueError as error:
        raise StoreError(f"{record_file(release)}: {str(error).splitlines()[0]}; delete the file") from error
