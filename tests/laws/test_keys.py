"""What an edit of a source file repeats, and what a step may import.

`python -m tests.laws.test_keys` writes the table (`keys.txt`), so that a pull request shows what it repeats.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from functools import reduce
from pathlib import Path

import pytest

from modelyard.home import Home
from modelyard.recipes.named import ARCHITECTURES, make_recipe
from modelyard.steps import closure
from modelyard.steps.closure import Module, is_left_out, members_of, parse_module, read_module
from modelyard.steps.nodes import nodes
from modelyard.steps.preparation import prepare
from modelyard.steps.requests import BuildRequest
from tests.laws.test_floors import imported, modules

TABLE = Path(__file__).with_name("keys.txt")
HEAD = """\
# Module: the step that is done again when its code changes, and all that comes after it; of which networks,
# where not of all. A module that is not here repeats nothing. Written by: python -m tests.laws.test_keys
"""
MODELS = (*ARCHITECTURES, "timm:resnet18")
"""One of each kind of network."""
NOTHING: tuple[Callable[[str], str], ...] = (
    lambda text: f"{text}# a comment\n'''a docstring'''\n",
    lambda text: text.replace(") -> None:", ") -> object:"),
    lambda text: text.replace("(\n", "(\n\n"),
)
"""Edits that decide nothing."""
MORE = "\ndef more():\n    return 1\n"
FIELD = "from modelyard.config import Config\n\nclass AnyConfig(Config):\n    one: int = 1\n{more}"


def test_the_table_says_what_an_edit_of_each_file_repeats() -> None:
    assert TABLE.read_text() == HEAD + table(), "write it anew: python -m tests.laws.test_keys"


def test_more_code_is_other_code_and_nothing_else_is() -> None:
    for path in modules().values():
        text = path.read_text()
        module = parse_module(text)
        assert parse_module(text + MORE) != module
        assert parse_module(reduce(lambda edited, edit: edit(edited), NOTHING, text)) == module, path


def test_the_declaration_of_a_field_is_no_code_and_a_method_is() -> None:
    one, other, method = (
        parse_module(FIELD.format(more=more))
        for more in ("", "    two: int | None = None\n", "    def two(self):\n        return 2\n")
    )
    assert one == other != method


@pytest.mark.parametrize(
    ("edited", "moved"),
    [
        ("steps.evaluate", ["evaluate", "export"]),
        ("steps.export", ["export"]),
        ("inference.doubts", ["export"]),
        ("inference.session", ["export"]),
        ("training.loop", ["train", "evaluate", "export"]),
        ("models.cnn", ["train", "evaluate", "export"]),
        ("models.rnn", []),
        ("models", []),
        ("sources.mirrors", []),
        ("recipes", []),
        ("machine.devices", []),
    ],
)
def test_the_keys_follow_the_code(edited: str, moved: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    before = nodes(request("cnn"))
    edited = f"modelyard.{edited}"
    module = parse_module(modules()[edited].read_text() + MORE)

    def read(name: str) -> Module | None:
        return module if name == edited else read_module(name)

    monkeypatch.setattr(closure, "read_module", read)
    monkeypatch.setattr(closure, "_first", {})
    after = nodes(request("cnn"))
    assert [b.step.name for a, b in zip(before, after, strict=True) if a.key != b.key] == moved


def test_a_body_imports_rooms_only() -> None:
    bodies = {body for body, _ in stages("cnn").values()}
    above = ("modelyard.recipes", "modelyard.tracking", "modelyard.registry", "modelyard.steps", "flows")
    machinery = {"modelyard.steps.closure"}  # a child asks whether it runs the code that was meant
    for body in bodies:
        assert not {name for name in imported(body) - machinery if name.startswith(above)}
    assert not (modules()["modelyard.steps"].read_text())


def test_no_import_is_relative_or_by_star() -> None:
    """Neither is followed."""
    assert not [path for path in modules().values() if " import *" in path.read_text()]
    assert not [path for path in modules().values() if "\nfrom ." in path.read_text()]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("store"))


def test_a_body_runs_no_other_module_of_ours(
    home: Home, shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELYARD_CACHE", str(shared_cache))
    small = ["training.epochs=1", "training.min_steps=0", "training.max_train_images=64"]
    recipe = make_recipe("rnn", "smoke").override([*small, "training.precision=fp32"])
    asked = BuildRequest(recipe=recipe, label="rnn", seed=0, **prepare("digits", home))
    jobs: list[list[str]] = []
    known = listed()
    folders = {node.step.name: str(node.folder(home)) for node in nodes(asked)}
    for node in nodes(asked)[1:]:
        node.folder(home).mkdir()
        jobs.append([node.step.body, type(node.slice).__name__, node.slice.model_dump_json(), node.step.name])
    command = [sys.executable, "-c", RUN, str(home.root), json.dumps(folders), json.dumps(jobs)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    for node, ran in zip(nodes(asked)[1:], told, strict=True):
        known |= closure.closure(node.step.body, members_of(node.slice))  # and of those that ran before
        assert {
            name
            for name in ran
            if name not in known and (not is_left_out(name) or (name.count(".") > 1 and ".steps." in name))
        } == set()


RUN = """
import importlib, json, sys
from pathlib import Path
from modelyard.home import Home
from modelyard.machine.how import How
from modelyard.training import slices
root, folders, jobs = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
given = {name: Path(folder) for name, folder in folders.items()}
for body, kind, text, name in jobs:
    slice, out = getattr(slices, kind).model_validate_json(text), given[name]
    how = How(Home(Path(root)), device="cpu", in_process=True, checkpoint=f"{out}.checkpoint")
    importlib.import_module(body).run(slice, given, out, how)
    print(json.dumps(sorted(name for name in sys.modules if name.startswith("modelyard"))))
"""


def listed() -> set[str]:
    """The members of table rooms, the rooms themselves, and all that the members import."""
    tables = {name for name in modules() if name.startswith("modelyard.") and is_table(name)}
    members = {name for name in modules() if any(name.startswith(f"{table}.") for table in tables)}
    return tables | closure.closure(next(iter(members)), members)


def is_table(name: str) -> bool:
    module = read_module(name)
    return module is not None and module.is_table


def table() -> str:
    """A line for each module that is in a key."""
    closures = {
        kind: {step: closure.closure(*stage) for step, stage in stages(kind).items()} for kind in MODELS
    }
    lines = []
    for name in sorted(modules()):
        first = {
            kind: next((step for step, names in found.items() if name in names), "")
            for kind, found in closures.items()
        }
        steps = {step: [kind for kind, one in first.items() if one == step] for step in first.values()}
        told = [
            step if len(kinds) == len(MODELS) else f"{step} of {', '.join(kinds)}"
            for step, kinds in steps.items()
            if step
        ]
        lines += [f"{name.removeprefix('modelyard.')}: {'; '.join(told)}\n"] if told else []
    return "".join(lines)


def stages(architecture: str) -> dict[str, tuple[str, set[str]]]:
    """Step -> its body, and the members of table rooms in its slice; in their order."""
    found = nodes(request(architecture))[1:]
    return {node.step.name: (node.step.body, members_of(node.slice)) for node in found}


def request(architecture: str) -> BuildRequest:
    recipe = make_recipe(architecture, "smoke")
    data = {"data_step": "data-0", "data_digest": "0" * 64, "dataset": "d"}
    return BuildRequest(recipe=recipe, label="x", seed=0, **data)


if __name__ == "__main__":
    TABLE.write_text(HEAD + table())
