"""Whether a ledger was altered: each entry holds the hash of the one before it, and others remember where the
chain ended.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from modelyard.errors import StoreError
from modelyard.releases.ledger import LEDGER_FILE, ZEROS, Head, Ledger, entry_hash, read_ledger


def problems(ledger: Ledger, heads: Mapping[str, Head]) -> list[str]:
    """What was altered, each naming its line; `heads` are the ends that others remember, by their names."""
    found: list[str] = []
    unchained, prev = ledger.unchained, ZEROS
    for number, entry in enumerate(ledger.entries[unchained:], unchained + 1):
        if entry is None or "hash" not in entry:
            found.append(
                f"line {number} {'cannot be read' if entry is None else 'has no hash'}: it was edited"
            )
            continue
        if entry["hash"] != entry_hash(entry):
            found.append(f"line {number} was edited: its content does not have its hash")
        if entry.get("prev") != prev:
            found.append(
                f"line {number} does not follow the line before it: one was removed, inserted or moved"
            )
        if (
            number == unchained + 1
            and unchained
            and entry.get("before_chain") != digest_of_lines(ledger.lines[:unchained])
        ):
            found.append(f"lines 1 to {unchained}, from before the chain, were edited")
        prev = str(entry["hash"])
    return found + [problem for name, head in heads.items() if (problem := _cut_off(ledger, name, head))]


def _cut_off(ledger: Ledger, name: str, head: Head) -> str | None:
    if len(ledger.lines) < head.entries:
        return f"the end was cut off after line {len(ledger.lines)}: {name} knows {head.entries} lines"
    if ledger.hash_at(head.entries) != head.hash:
        return f"line {head.entries} is not the one that {name} knows: the end was written anew"
    return None


def demand_whole(folder: Path, heads: Mapping[str, Head]) -> Ledger:
    """The ledger, if nothing in it was altered. Raises: StoreError with the first that was."""
    ledger = read_ledger(folder)
    if found := problems(ledger, heads):
        raise StoreError(
            f"{folder / LEDGER_FILE}: {found[0]}; see modelyard models history {folder.name} "
            "--verify, then put a copy back"
        )
    return ledger


def digest_of_lines(lines: Sequence[bytes]) -> str:
    """What the first entry of a chain says of the lines before it."""
    return hashlib.sha256(b"\n".join(lines)).hexdigest()
