"""Nothing is lost from the ledger, and whatever was altered is found with its line."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from modelyard.errors import StoreError
from modelyard.home import Home
from modelyard.registry import history
from modelyard.releases import ledger_writer
from modelyard.releases.chain import demand_whole, problems
from modelyard.releases.ledger import HEAD_FILE, LEDGER_FILE, Entry, Head, entry_hash, read_head, read_ledger

Lines = list[bytes]


def move(to: int, why: str = "because") -> Entry:
    return {
        "time": f"2026-11-24T12:00:{to:02d}+00:00",
        "who": "somebody",
        "alias": "champion",
        "from": None,
        "to": to,
        "why": why,
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A ledger of five entries and its head."""
    for to in range(1, 6):
        ledger_writer.append(tmp_path, [move(to)])
    ledger_writer.write_head(tmp_path, read_ledger(tmp_path).head)
    return tmp_path


def found(folder: Path, heads: dict[str, Head] | None = None) -> list[str]:
    return problems(read_ledger(folder), read_head(folder) | (heads or {}))


def test_entries_are_chained_from_zeros_by_their_canonical_digest(folder: Path) -> None:
    entries = [move.entry for move in read_ledger(folder).moves]
    assert [entry["to"] for entry in entries] == [1, 2, 3, 4, 5]
    assert entries[0]["prev"] == "0" * 64
    assert [entry["prev"] for entry in entries[1:]] == [entry["hash"] for entry in entries[:-1]]
    assert found(folder) == []
    shuffled = dict(reversed(entries[2].items()))
    assert entry_hash(shuffled) == entries[2]["hash"], "the order of keys is not part of it"


def edit(lines: Lines) -> Lines:
    return [*lines[:2], lines[2].replace(b"because", b"bribed!"), *lines[3:]]


def edit_with_its_hash(lines: Lines) -> Lines:
    entry = json.loads(lines[2]) | {"why": "bribed"}
    return [*lines[:2], json.dumps(entry | {"hash": entry_hash(entry)}).encode(), *lines[3:]]


def forge_from_there(lines: Lines) -> Lines:
    forged, prev = lines[:2], json.loads(lines[1])["hash"]
    for line in lines[2:]:
        entry = json.loads(line) | {"why": "bribed", "prev": prev}
        prev = entry_hash(entry)
        forged.append(json.dumps(entry | {"hash": prev}).encode())
    return forged


@pytest.mark.parametrize(
    ("tamper", "expected"),
    [
        (edit, "line 3 was edited: its content does not have its hash"),
        (edit_with_its_hash, "line 4 does not follow the line before it: one was removed, inserted or moved"),
        (lambda lines: [*lines[:1], *lines[2:]], "line 2 does not follow the line before it"),
        (
            lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]],
            "line 3 does not follow the line before it",
        ),
        (lambda lines: [*lines[:3], lines[2], *lines[3:]], "line 4 does not follow the line before it"),
        (lambda lines: lines[:3], "the end was cut off after line 3: ledger.head knows 5 lines"),
        (lambda lines: [*lines[:4], b"{}"], "line 5 has no hash: it was edited"),
        (lambda lines: [*lines[:2], b"gone", *lines[3:]], "line 3 cannot be read: it was edited"),
        (forge_from_there, "line 5 is not the one that ledger.head knows: the end was written anew"),
        (lambda lines: [], "the end was cut off after line 0: ledger.head knows 5 lines"),
    ],
)
def test_tampering_is_found_and_stops_the_next_move(
    folder: Path, tamper: Callable[[Lines], Lines], expected: str
) -> None:
    path = folder / LEDGER_FILE
    path.write_bytes(b"".join(line + b"\n" for line in tamper(path.read_bytes().splitlines())))
    assert expected in found(folder)[0]
    with pytest.raises(
        StoreError, match=r"ledger\.jsonl: .*; see modelyard models history .* --verify, then put a copy back"
    ):
        demand_whole(folder, read_head(folder))


def test_a_head_kept_elsewhere_shows_a_cut_whose_own_head_was_cut_too(folder: Path) -> None:
    elsewhere = {"the registry": read_ledger(folder).head}
    lines = (folder / LEDGER_FILE).read_bytes().splitlines(keepends=True)
    (folder / LEDGER_FILE).write_bytes(b"".join(lines[:4]))
    ledger_writer.write_head(folder, read_ledger(folder).head)
    assert found(folder) == []
    assert found(folder, elsewhere) == ["the end was cut off after line 4: the registry knows 5 lines"]
    assert Head.parse(str(elsewhere["the registry"])) == elsewhere["the registry"]


@pytest.mark.parametrize("entries", ["-9", "1e400", "[]", '"x"', "5.0", "9" * 5000])
def test_a_head_that_is_none_is_told_of(folder: Path, entries: str) -> None:
    (folder / HEAD_FILE).write_text(f'{{"entries": {entries}, "hash": "{"0" * 64}"}}')
    with pytest.raises(StoreError, match=r"ledger\.head cannot be read .*; it was edited, put its copy back"):
        demand_whole(folder, read_head(folder))


@pytest.mark.parametrize("ended", [b"", b"\n"])
def test_entries_of_odd_types_are_no_moves_and_no_registrations(folder: Path, ended: bytes) -> None:
    path = folder / LEDGER_FILE
    odd = b'{"alias": [], "from": 1, "to": 1}\n{"alias": "a", "from": 1, "to": "x"}\n'
    odd += b'{"action": "register", "version": [], "files": {}}\n'
    path.write_bytes(odd + path.read_bytes() + b'{"hash": []}' + ended)
    read = read_ledger(folder)
    assert ([move.to for move in read.moves], read.registered) == ([1, 2, 3, 4, 5], {})
    assert found(folder)


def test_a_move_made_while_it_is_looked_at_is_no_tampering(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_late(folder: Path) -> dict[str, Head]:
        ledger_writer.append(folder, [move(6)])
        ledger_writer.write_head(folder, read_ledger(folder).head)
        return read_head(folder)

    releases = folder / "releases"
    releases.mkdir()
    shutil.copytree(folder, releases / "fruit", ignore=shutil.ignore_patterns("releases"))
    monkeypatch.setattr(history, "read_head", read_late)
    assert history.verify(Home(folder), "fruit", ask_registry=False).problems == []


@pytest.mark.parametrize("kept", [1, 40, -2])
def test_a_torn_last_line_is_put_aside_and_no_entry_is_lost(
    folder: Path, heard: list[str], kept: int
) -> None:
    path = folder / LEDGER_FILE
    whole = path.read_bytes()
    torn = whole.splitlines()[-1][:kept]
    path.write_bytes(whole + torn)
    assert len(read_ledger(folder).moves) == 5
    assert found(folder) == []
    ledger_writer.append(folder, [move(6)])
    assert [move.to for move in read_ledger(folder).moves] == [1, 2, 3, 4, 5, 6]
    assert found(folder) == []
    assert [file.read_bytes() for file in folder.glob("ledger.torn-*")] == [torn]
    assert "was torn" in heard[0]


def test_an_entry_that_lacks_only_its_end_of_line_counts(folder: Path, heard: list[str]) -> None:
    path = folder / LEDGER_FILE
    path.write_bytes(path.read_bytes()[:-1])
    assert found(folder) == []
    ledger_writer.append(folder, [move(6)])
    assert (len(read_ledger(folder).moves), found(folder), heard) == (6, [], [])


def test_an_edited_last_line_is_not_taken_for_a_torn_one(folder: Path) -> None:
    path = folder / LEDGER_FILE
    path.write_bytes(path.read_bytes()[:-1].replace(b'"to": 5', b'"to": 4'))
    assert found(folder) == ["the end was cut off after line 4: ledger.head knows 5 lines"]


def test_older_lines_are_read_continued_and_sealed(tmp_path: Path) -> None:
    path = tmp_path / LEDGER_FILE
    path.write_text("".join(json.dumps(move(to)) + "\n" for to in (1, 2)))
    assert (read_ledger(tmp_path).unchained, found(tmp_path)) == (2, [])
    ledger_writer.append(tmp_path, [move(3), move(4)])
    assert [move.to for move in read_ledger(tmp_path).moves] == [1, 2, 3, 4]
    assert (read_ledger(tmp_path).unchained, found(tmp_path)) == (2, [])
    path.write_bytes(path.read_bytes().replace(b'"to": 1', b'"to": 7'))
    assert found(tmp_path) == ["lines 1 to 2, from before the chain, were edited"]


def test_a_full_disk_leaves_the_ledger_as_it_was(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this user may not mount a tmpfs")
    try:
        ledger_writer.append(disk, [move(1)])
        before = (disk / LEDGER_FILE).read_bytes()
        with pytest.raises(
            StoreError, match="No space left on device; nothing was moved; free space and try again"
        ):
            ledger_writer.append(disk, [move(2, "x" * 20_000)])
        assert (disk / LEDGER_FILE).read_bytes() == before
        ledger_writer.append(disk, [move(2)])
        assert found(disk) == []
    finally:
        subprocess.run(["umount", disk], check=True)
