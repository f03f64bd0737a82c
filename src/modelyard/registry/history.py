"""Looking at ledgers: the moves as rows, what served at a time, and whether anything was altered. Writes
nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelyard.bundle import MODEL_FILE, read_bundle
from modelyard.errors import BundleError, ConfigError, StoreError
from modelyard.home import Home
from modelyard.releases.chain import problems
from modelyard.releases.folders import demand_recorded, known_versions
from modelyard.releases.ledger import AliasMove, Ledger, models_with_ledger, read_head, read_ledger

if TYPE_CHECKING:
    from modelyard.registry.standing import Discrepancy


def alias_moves(home: Home, model: str, alias: str | None = None) -> list[AliasMove]:
    """A model's moves, oldest first. Raises: StoreError when the model or the alias has none."""
    if not (moves := read_ledger(home.releases_of(model)).moves):
        raise _no_ledger(home, model)
    if alias is None:
        return moves
    if not (chosen := [move for move in moves if move.alias == alias]):
        known = ", ".join(sorted({move.alias for move in moves}))
        raise StoreError(f"alias {alias!r} of {model} was never set: expected one of {known}")
    return chosen


def move_rows(moves: list[AliasMove]) -> list[dict[str, Any]]:
    """What a table shows of each move."""
    return [
        {
            "time (UTC)": _instant(move.time).strftime("%Y-%m-%d %H:%M:%S"),
            "alias": move.alias,
            "from": "" if move.before is None else move.before,
            "to": "" if move.to is None else move.to,
            "action": move.action,
            "who": move.who,
            "why": move.why,
        }
        for move in moves
    ]


def parse_time(text: str) -> datetime:
    """A moment in UTC. Raises: ConfigError."""
    try:
        return _instant(text)
    except ValueError as error:
        raise ConfigError(
            f"--at expects a time such as 2026-11-24T14:30 (UTC unless it ends in +01:00), received {text!r}"
        ) from error


def _instant(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def served_at(home: Home, model: str, moment: datetime) -> list[dict[str, Any]]:
    """One row for each alias: its version at that moment, since when, and the digest of the file that
    answered.
    """
    last = {move.alias: move for move in alias_moves(home, model) if _instant(move.time) <= moment}
    return [
        {
            "alias": alias, "version": move.to, "since": move.time,
            "onnx_sha256": move.onnx_sha256 or _digest_of_release(home, model, move.to),
        }
        for alias, move in last.items()
        if move.to is not None
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Verification:
    """What of a model's ledger and releases was looked at, and what of it was altered."""

    checked: str
    problems: list[str]


def verify(home: Home, model: str, *, ask_registry: bool = True) -> Verification:
    """Compare ledger, releases and registry with each other.

    ask_registry: compare with what it remembers, too. Raises: StoreError for a model that has neither
    releases nor anybody who remembers a ledger.
    """
    folder = home.releases_of(model)
    heads = read_head(folder)  # before the ledger, which is written first
    files: dict[int, dict[str, str]] = {}
    differing: list[Discrepancy] = []
    if ask_registry:
        from modelyard.registry.heads import registry_head  # imports MLflow, which takes long
        from modelyard.registry.standing import discrepancies
        from modelyard.registry.versions import versions as registered

        remembered = registry_head(home, model)
        if folder.is_dir() or remembered:
            differing = discrepancies(home, model)
            files = {one.number: {MODEL_FILE: one.digest} for one in registered(home, model) if one.digest}
        if not any(each.kind == "model" for each in differing):  # else that head may be another ledger's
            heads |= remembered
    found = read_ledger(folder)
    if not (folder.is_dir() or heads):
        raise _no_ledger(home, model)
    checked = [f"{len(found.lines)} entries"]
    if found.unchained:
        sealed = "sealed by the next" if len(found.lines) > found.unchained else "not sealed yet"
        checked.append(f"the first {found.unchained} from before the chain, {sealed}")
    checked.append(f"end known to {' and '.join(heads) or 'nobody else yet'}")
    if found.torn:
        checked.append(f"a torn last line of {len(found.torn)} bytes, which the next move puts aside")
    versions = known_versions(home.releases, model)
    checked.append(f"releases: {len(versions)}")
    if unknown := [version for version in versions if int(version) not in found.registered]:
        checked.append(f"not entered yet: {', '.join(unknown)}")
    altered = [*problems(found, heads), *_altered(folder, versions, found, files), *map(str, differing)]
    return Verification(", ".join(checked), altered)


def _altered(
    folder: Path, versions: list[str], found: Ledger, known: dict[int, dict[str, str]]
) -> Iterator[str]:
    """Each version that is not as ledger and registry know it."""
    for number in map(int, versions):
        try:
            demand_recorded(
                read_bundle(folder / str(number)), found.files_of(number) or known.get(number, {})
            )
        except BundleError as error:
            yield f"version {number}: {error}"


def _no_ledger(home: Home, model: str) -> StoreError:
    known = ", ".join(models_with_ledger(home.releases))
    return StoreError(
        f"no ledger of {model!r} in {home.releases}: "
        f"{f'there are {known}' if known else 'nothing was promoted'}"
    )


def _digest_of_release(home: Home, model: str, number: int) -> str:
    """For moves from before digests were written into the ledger."""
    try:
        return read_bundle(home.releases_of(model) / str(number)).digests[MODEL_FILE]
    except BundleError:
        return ""
