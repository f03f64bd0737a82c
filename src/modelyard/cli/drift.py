"""`modelyard data drift`: how two data sets differ."""

# Heavy imports happen inside the command, so that --help is quick.
from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Annotated

import typer

from modelyard.cli.options import JsonOption, load, print_first
from modelyard.terminal.echo import echo

if TYPE_CHECKING:
    from modelyard.inspection.profile import Profile
    from modelyard.inspection.validation import Reference, ValidationConfig
    from modelyard.steps.freshness import DataReport


def drift(
    before: Annotated[
        str, typer.Argument(help="A data set, or a release such as mnist@champion: what it was trained on.")
    ],
    now: Annotated[
        str, typer.Argument(help="A data set: a name of modelyard data list, or images or texts.")
    ],
    assignments: Annotated[
        list[str] | None, typer.Option("--set", help="Change a rule: validation.pixel_drift=0.1; repeatable.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """What changed between two data sets: classes, counts, label shares, brightness or lengths, each with
    a test.

    Drift is a difference that is significant and large enough. Also says whether a scheduled run would refuse
    NOW.
    """
    from modelyard.steps.freshness import report

    rules = _rules(assignments or [])
    found = report(_profile(now), _reference(before), rules)
    echo(json.dumps(found.as_json())) if as_json else _print(found)


def _rules(assignments: list[str]) -> ValidationConfig:
    """Keys as in a recipe, so that what a refusal advises can be pasted here."""
    from modelyard.config import Config
    from modelyard.inspection.validation import ValidationConfig

    class Rules(Config):
        validation: ValidationConfig = ValidationConfig()

    return Rules().override(assignments).validation


def _reference(name: str) -> Reference:
    from modelyard.home import Home
    from modelyard.steps.freshness import dataset_reference, release_reference

    if "@" in name and os.sep not in name:
        return release_reference(Home.current(), name)
    return dataset_reference(_profile(name))


def _profile(name: str) -> Profile:
    from modelyard.home import Home
    from modelyard.inspection.profile import profile_of, read_profile

    dataset = load(name)
    found = read_profile(Home.current(), dataset.digest) or profile_of(dataset)
    return found.model_copy(update={"name": dataset.name})  # it is kept with the content, whatever its name


def _print(found: DataReport) -> None:
    from modelyard.console.tables import print_table

    rows = found.rows + found.details
    if rows:
        print_first(rows, f"{found.reference} and {found.dataset}", "differences")
    if found.tests:
        print_table(found.test_rows(), "tests")
    echo(found.summary)
    for problem in found.problems:
        echo(f"a scheduled run would refuse {found.dataset}: {problem}")
