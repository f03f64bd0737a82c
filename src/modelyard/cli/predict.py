"""`modelyard predict`: pictures or texts, and folders of them, asked of a released model."""

from __future__ import annotations

import csv
import heapq
import io
import json
from typing import Annotated, Any

import typer

from modelyard.cli.options import JsonOption, ModelOption
from modelyard.errors import ConfigError, DataError
from modelyard.home import Home
from modelyard.terminal.echo import echo

SOME_REFUSED, NOTHING_ANSWERED = 1, 2
"""Exit codes."""
SamplesArgument = Annotated[
    list[str],
    typer.Argument(
        help="Pictures; or texts, files of a text each, - for stdin, by what the model reads. Of folders "
        "every picture, or every .txt, below, in their order."
    ),
]


def predict(
    samples: SamplesArgument,
    model: ModelOption = "",
    top: Annotated[int, typer.Option(min=1, help="How many of the most probable classes.")] = 1,
    as_csv: Annotated[
        bool,
        typer.Option("--csv", help="Print CSV: image (or text), label, probability, ... of --top; warnings."),
    ] = False,
    as_json: JsonOption = False,
    invert: Annotated[
        bool,
        typer.Option("--invert", help="Invert pictures: dark on bright, where bright on dark was learnt."),
    ] = False,
) -> None:
    """Classify pictures or texts with a released model; needs onnxruntime only. --json prints an object a
    line, with every probability.

    A blank picture, or one that looks inverted against the training data, is answered with a warning, and so
    is a text that is cut. What cannot be read is a line on stderr and the rest is answered. Exit code 1: some
    were refused; 2: nothing was answered.
    """
    from modelyard.inference.files import Asked
    from modelyard.samples.scan import told

    if as_csv and as_json:
        raise ConfigError("expected one format, received --csv and --json; leave one out")
    refused = answered = 0

    def refuse(reason: DataError) -> None:
        nonlocal refused
        refused += 1
        echo(f"modelyard: {reason}", err=True)

    asked = Asked(Home.current(), model, invert=invert)
    items, others = asked.reader.find(samples, refuse)
    one = asked.manifest.signature.names.one
    for answered, row in enumerate(asked.answers(items, refuse), 1):
        best = heapq.nlargest(top, row["probabilities"].items(), key=lambda pair: pair[1])
        shown = asked.reader.shown(row[one])
        echo(
            *_csv(one, row, best, answered == 1)
            if as_csv
            else [json.dumps(row) if as_json else _line(shown, row, best)]
        )
        for warning in row.get("warnings", ()):
            echo(f"WARNING: {shown}: {warning}", err=True)
    if others:
        echo(f"NOTE: {told(others)}", err=True)
    if refused:
        raise typer.Exit(SOME_REFUSED if answered else NOTHING_ANSWERED)


def _line(name: str, row: dict[str, Any], best: list[tuple[str, float]]) -> str:
    return "  ".join([name, *(f"{label}  {p:.1%}" for label, p in best), f"{row['ms']:.2f} ms"])


def _csv(one: str, row: dict[str, Any], best: list[tuple[str, float]], is_first: bool) -> list[str]:
    """The row's line, and above the first the names of the columns; `one` is that of the first."""
    columns = [
        f"{name}{f'_{n}' if n > 1 else ''}"
        for n in range(1, len(best) + 1)
        for name in ("label", "probability")
    ]
    line = io.StringIO()
    answers = (part for label, p in best for part in (label, f"{p:.6f}"))
    csv.writer(line, lineterminator="").writerow([row[one], *answers, "; ".join(row.get("warnings", ()))])
    return [*([",".join([one, *columns, "warnings"])] if is_first else []), line.getvalue()]
