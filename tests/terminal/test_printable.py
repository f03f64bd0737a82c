"""Names and messages of others move no cursor, forge no line, make no link and tell no password (L10, L12,
L13).
"""

from __future__ import annotations

import io
import json
import logging
import re
from contextlib import redirect_stderr
from pathlib import Path

import pytest

import modelyard
from modelyard.console.tables import print_table
from modelyard.errors import ConfigError, DataError
from modelyard.evaluation.board import as_markdown, board_markdown, table_rows
from modelyard.home import Home
from modelyard.machine.logs import log_to_file
from modelyard.progress import ConsoleProgress
from modelyard.terminal.echo import echo
from modelyard.terminal.printable import elided, in_markdown, printable, shown_address

HOSTILE = "\x1b[31mred\x1b]0;pwn\x07\r\nmodelyard: all is well\t\x7f\x9b2J\u202egod\u2028\udcff"
CONTROLS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def test_l10_control_characters_are_shown_and_ordinary_text_is_kept() -> None:
    assert printable("a\x1b[1m\n\x9b\u202e\udcff") == r"a\x1b[1m\n\x9b\u202e\udcff"
    assert printable("Ångström 漢字 עברית 👩‍💻 a\\n") == "Ångström 漢字 עברית 👩‍💻 a\\n"
    assert (
        str(DataError(f"class {HOSTILE}")).count("\n") == 0 == len(CONTROLS.findall(str(DataError(HOSTILE))))
    )


@pytest.mark.parametrize("most", [8, 9, 16, 24])
def test_a_long_name_keeps_its_beginning_and_its_end(most: int) -> None:
    assert elided("a" * most, most) == "a" * most
    found = elided("begin" + "x" * 300 + "z", most)
    assert len(found) == most and found.startswith("begin"[: most - 3]) and found.endswith("z")


def test_l10_whatever_is_printed_is_one_line_of_text(capsys: pytest.CaptureFixture[str]) -> None:
    echo(HOSTILE, "next")
    echo(json.dumps({HOSTILE: HOSTILE}))
    print_table(
        [{HOSTILE: "[red]x[/red]", "class": HOSTILE}, {HOSTILE: ":smile: [link=http://evil]y", "class": "b"}],
        HOSTILE,
    )
    with redirect_stderr(io.StringIO()) as told, ConsoleProgress() as progress:
        progress.say(f"[bold]{HOSTILE}")
    printed = capsys.readouterr().out
    assert not CONTROLS.findall(printed + told.getvalue())
    assert (
        "[red]x[/red]" in printed and ":smile: [link=http://evil]y" in printed and "[bold]" in told.getvalue()
    )
    assert printed.splitlines()[1] == "next" and told.getvalue().count("\n") == 1
    assert not [line for line in printed.splitlines() if line.startswith("modelyard:")]


def test_l10_no_module_prints_past_it() -> None:
    root = Path(modelyard.__file__).parent
    past = [
        path.name
        for path in root.rglob("*.py")
        if re.search(r"typer\.echo\(|secho\(|[^.\w]Console\(", path.read_text())
    ]
    assert past == ["echo.py"]


def test_l10_a_forged_line_of_the_log_is_indented(tmp_path: Path) -> None:
    with log_to_file(Home(tmp_path)) as path:
        logging.getLogger("x").warning(
            "http://me:secret@host \x1b[31m\n2026-11-27 12:00:00,000 INFO    x: forged"
        )
    first, second = path.read_text().splitlines()
    assert first.endswith(r"http://host \x1b[31m") and second.startswith("    2026")


EVIL = [
    "<img src=x onerror=alert(1)>",
    "[click](javascript:alert(1))",
    "a|b",
    "`x` *b* __c__ ~~d~~",
    "https://evil.example",
    "\n# h",
]


def test_l12_markdown_of_names_is_text() -> None:
    for page in (as_markdown({"classes": ", ".join(EVIL)}), board_markdown([{name: name for name in EVIL}])):
        assert (
            "<" not in page
            and "](" not in page.replace("\\](", "")
            and "://" not in page.replace("\\://", "")
        )
        assert not re.search(r"(?<!\\)[`*_~\[]", page) and "\n#" not in page
        assert {len(re.findall(r"(?<!\\)\|", line)) for line in page.splitlines()} in ({3}, {len(EVIL) + 1})
    (row,) = table_rows(
        [{"what": EVIL[1], "now": 3, "p": None}]
    )  # Prefect's page renders the cells of its tables
    assert row == {"what": r"\[click\](javascript:alert(1))", "now": 3, "p": None}
    assert in_markdown("98.5 % (97.1-99.2), digest ab12: k = 3") == "98.5 % (97.1-99.2), digest ab12: k = 3"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("htps://user:pw@host", "htps://host"),
        ("https://user:pw@host:5000/path?token=pw#pw", "https://host:5000/path"),
        ("http://u:p://w@host", "http://host"),
        ("http://user:p/w@host", "http://host"),
        ("user:pw@host", "host"),
        ("http://u:p?w@[bad", "http://[bad"),
        ("http://mlflow.example:5000", "http://mlflow.example:5000"),
    ],
)
def test_l13_an_address_is_shown_without_its_password(address: str, shown: str) -> None:
    assert shown_address(address) == shown


def test_l13_no_error_tells_a_password_in_an_address() -> None:
    assert (
        str(ConfigError("GET http://me:secret@host/x failed at tcp://u@h:1"))
        == "GET http://host/x failed at tcp://h:1"
    )
