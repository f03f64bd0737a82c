"""Results as a person reads them in a terminal."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.table import Table

from modelyard.bundle import MODEL_FILE, Manifest
from modelyard.errors import StoreError
from modelyard.evaluation.board import card_facts
from modelyard.home import Home
from modelyard.inference.files import released_folder
from modelyard.promotion.record import describe_record
from modelyard.terminal.echo import console, echo

WORDS = frozenset({
    "architecture", "name", "aliases", "class", "step", "state", "why", "alias", "who", "action",
    "onnx_sha256", "since", "key", "metric", "label", "what", "test", "kind", "title", "time", "changes",
    "part", "address", "log", "dataset", "cron", "every", "timezone", "pool", "run", "due", "next", "last",
    "result", "recall %", "sample", "library", "answer", "place",
})  # fmt: skip
"""Columns of text; all others are numbers and stand to the right."""
WIDE = 260
"""Characters of a line where there is no terminal; of a board with a row for each architecture."""
MOST_CLASSES = 40
"""Of a comparison by class."""


def print_table(rows: Sequence[Mapping[str, Any]], title: str) -> None:
    """Rows with equal keys as one table on stdout."""
    table = Table(title=title)
    for column in rows[0]:
        table.add_column(column, justify="left" if column in WORDS else "right")
    for row in rows:
        table.add_row(*map(_cell, row.values()))
    console(width=None if sys.stdout.isatty() else WIDE).print(table)


def _cell(value: object) -> str:
    """A time with the name of its zone."""
    return (
        f"{value:%Y-%m-%d %H:%M} {value.tzinfo}"
        if isinstance(value, datetime)
        else "-"
        if value is None
        else str(value)
    )


def print_board(result: Mapping[str, Any]) -> None:
    """The outcome of `compare` and what to do next. Narrow terminals get one column for each architecture."""
    rows, dataset = result["board"], result["dataset"]
    best = max(rows, key=lambda row: row["validation %"])
    title = f"{dataset}: every architecture on the same test data"
    if sys.stdout.isatty() and console().width < WIDE:
        rows = [{"": key, **{row["architecture"]: row[key] for row in rows}} for key in list(rows[0])[1:]]
    print_table(rows, title)
    if result["advice"]:
        echo(result["advice"])
    echo(
        *closing_lines(
            Home.current(), f"{dataset}@{best['version']}", promoted=result["promoted"], why=result["why"]
        )
    )


def closing_lines(home: Home, version: str, *, promoted: bool, why: str) -> tuple[str, str]:
    """What a run came to, and commands that work now; `version`, as digits@3, is the best of the
    run's own.
    """
    model = version.partition("@")[0]
    next_line = "next: modelyard ui | modelyard models show {0} | modelyard predict FILE --model {0}"
    try:
        released_folder(home, model)
    except StoreError:
        force = f" | modelyard models promote {version} --force"
        return f"no champion: {why}", next_line.format(version) + force
    return f"{'promoted' if promoted else 'champion unchanged'}: {why}", next_line.format(f"{model}@champion")


def print_card(manifest: Manifest, folder: Path) -> None:
    """One released model."""
    name = f"{manifest.model_name}, version {folder.name}, {manifest.architecture}"
    facts = {"model": name, "file": str(folder / MODEL_FILE)} | card_facts(manifest)
    facts["gates"] = describe_record(folder)
    echo(*(f"{title:>14}  {fact}" for title, fact in facts.items()))


def print_difference(told: Mapping[str, Any]) -> None:
    """Two versions side by side, as `tracking.difference` tells them."""
    first, second = told["versions"]
    echo(f"first {first} ({told['architectures'][0]}), second {second} ({told['architectures'][1]})")
    for name, data in zip(("first", "second"), told["data"], strict=True):
        counts = (
            f", {data['train']} to train on, {data['test']} to test, {data['classes']} classes"
            if "train" in data
            else ""
        )
        echo(f"{name} on data {data['digest'][:16]}{counts}")
    if told["recipe"]:
        print_table(told["recipe"], "recipe keys that differ")
    else:
        echo("the recipes are equal")
    print_table([_rounded(row) for row in told["metrics"]], "metrics")
    if "not_compared" in told:
        return echo(f"answers not compared: {told['not_compared']}")
    classes, more = told["classes"], ""
    if len(classes) > MOST_CLASSES:
        classes = sorted(classes, key=lambda row: -abs(row["change"]))[:MOST_CLASSES]
        more = f", the {MOST_CLASSES} of {len(told['classes'])} that changed most (--json has all)"
    print_table([_rounded(row) for row in classes], f"accuracy by class{more}")
    test, many = told["mcnemar"], told["samples"]
    echo(
        f"of {test[many]} test {many} {told['changed_answers']} are answered otherwise: "
        f"{test['gained']} gained,"
        f" {test['lost']} lost, McNemar's p = {test['p_value']:.3g}"
    )
    if told["examples"]:
        print_table(told["examples"], f"the first {len(told['examples'])} of them")
    return None


def _rounded(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: "" if value is None else f"{value:.6g}" if isinstance(value, float) else value
        for name, value in row.items()
    }
