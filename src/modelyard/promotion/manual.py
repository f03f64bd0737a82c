"""A person's own moves: promotion of a chosen version, and the way back."""

from __future__ import annotations

import re

from modelyard.errors import PromotionError, StoreError
from modelyard.home import Home
from modelyard.machine.leases import in_use
from modelyard.promotion.automatic import holder, judged_anew, leader
from modelyard.promotion.gates import GateVerdict, failed, parity, refusals, verdict_rows
from modelyard.promotion.judging import gates_of, judge, keep
from modelyard.promotion.predictions import data_folder, facts, released
from modelyard.registry.aliases import Move, move_alias, settle
from modelyard.registry.lineage import Lineage, last_moves, lineage
from modelyard.registry.standing import report_discrepancies
from modelyard.registry.versions import Version, model_names, versions
from modelyard.releases.ledger import read_ledger
from modelyard.releases.pointers import CHAMPION, PREVIOUS

ALIAS = re.compile(r"(?!v?\d+$|latest$)[a-z][a-z0-9_-]*")
"""What MLflow, a file name and `model@alias` can all bear."""


def find_version(home: Home, reference: str) -> Version:
    """The version that `model@alias` or `model@number` names; without either, the champion. Raises:
    StoreError.
    """
    name, _, wanted = reference.partition("@")
    known = known_versions(home, name)
    wanted = wanted or CHAMPION
    found = holder(known, wanted) or next(
        (version for version in known if str(version.number) == wanted), None
    )
    if found is None:
        numbers = ", ".join(str(version.number) for version in known)
        aliases = ", ".join(sorted({alias for version in known for alias in version.aliases}))
        raise StoreError(
            f"no version {wanted!r} of {name}: registered are {numbers} and the aliases {aliases or '(none)'}"
        )
    return found


def known_versions(home: Home, name: str) -> list[Version]:
    """All versions of a model. Raises: StoreError when it has none."""
    if not (known := versions(home, name)):
        names = ", ".join(model_names(home))
        raise StoreError(
            f"no model {name!r} is registered: "
            f"{f'there are {names}' if names else 'start with: modelyard run'}"
        )
    return known


def promote_version(
    home: Home, reference: str, alias: str = CHAMPION, *, reason: str = "", force: bool = False
) -> str:
    """Point an alias at a version that passes its gates; gives what was done in one line.

    The objective is not asked: who names a version has chosen. For other aliases than the champion's only
    parity counts.
    Raises: PromotionError with the failed gates, unless forced; StoreError, BundleError.
    """
    if alias == PREVIOUS or not ALIAS.fullmatch(alias):
        raise StoreError(
            f"alias {alias!r} cannot be set: expected lower case letters, digits, - and _; "
            "previous follows champion"
        )
    if "@" not in reference:
        raise StoreError(f"expected MODEL@VERSION such as {reference}@3, received {reference!r}")
    with in_use(home):
        settle(home, reference.partition("@")[0])
        candidate = find_version(home, reference)
        released(home, candidate)
        done = judged_anew(lambda: _promote_once(home, candidate, alias, reason, force))
    report_discrepancies(home, candidate.name)
    return done


def _promote_once(home: Home, candidate: Version, alias: str, reason: str, force: bool) -> str:
    known = known_versions(home, candidate.name)
    champion = leader(home, candidate.name, known)
    now = champion if alias == CHAMPION else holder(known, alias)
    name = f"{candidate.name}@{candidate.number}"
    is_in_ledger = alias in last_moves(read_ledger(home.releases_of(candidate.name)).moves)
    if is_in_ledger and now is not None and now.number == candidate.number:
        return f"{name} is {alias} already; nothing was moved"
    verdicts = _verdicts(home, candidate, alias, champion)
    refused = refusals(verdicts)
    if refused and not force:
        raise PromotionError(
            f"{name} was not promoted: {refused}; --force promotes it all the same, and the ledger tells"
        )
    evidence = {
        "by_hand": True,
        "forced": bool(refused),
        "failed": [verdict.name for verdict in failed(verdicts)],
    }
    evidence["verdicts"] = verdict_rows(verdicts)
    why = reason or "chosen by hand"
    if refused:
        why = f"{why} (forced although it failed {', '.join(verdict.name for verdict in failed(verdicts))})"
    move_alias(home, Move(candidate, alias, why, evidence=evidence), expected=now.number if now else None)
    return (
        f"{alias} of {candidate.name}: version {now.number if now else 'none'} -> {candidate.number}, {why}"
    )


def _verdicts(
    home: Home, candidate: Version, alias: str, champion: Version | None
) -> tuple[GateVerdict, ...]:
    gates = gates_of(home, candidate)
    if alias != CHAMPION:
        return (parity(gates, facts(home, candidate)),)
    judgement = judge(home, candidate, champion, data_folder(home, candidate), gates)
    keep(home, judgement)
    return judgement.verdicts


def rollback(home: Home, name: str, to: int | None = None, *, reason: str = "") -> str:
    """Point the champion at what led before it, or at `to`; gives what was done in one line.

    Twice goes two steps back. Raises: StoreError at the beginning, or when another process moved the champion
    meanwhile.
    """
    with in_use(home):
        settle(home, name)
        known = known_versions(home, name)
        ledger = read_ledger(home.releases_of(name))
        champions = lineage(
            ledger.moves,
            {version.number for version in known if ledger.knows(version.number, version.digest)},
        )
        now = leader(home, name, known)
        leads = None if now is None else now.number
        target = _target(name, champions, to)
        version = next((version for version in known if version.number == target), None)
        if version is None:
            raise StoreError(f"version {target} of {name} is registered no more; roll back further with --to")
        released(home, version)
        why = reason or f"rolled back from version {leads or 'none'}"
        move_alias(home, Move(version, CHAMPION, why, action="rollback"), expected=leads)
    report_discrepancies(home, name)
    return f"champion of {name}: version {leads or 'none'} -> {target}, {why}"


def _target(name: str, champions: Lineage, to: int | None) -> int:
    if to is None:
        if champions.previous is None:
            raise StoreError(
                f"no version of {name} led before {champions.champion or 'it'}: there is nothing to "
                "roll back to"
            )
        return champions.previous
    if to == champions.champion:
        raise StoreError(f"version {to} of {name} is the champion already")
    if to not in champions.ever:
        led = ", ".join(map(str, champions.ever)) or "none"
        raise StoreError(
            f"version {to} of {name} never was champion (were: {led}); modelyard models promote {name}@{to}"
        )
    return to
