"""L14: the store is its owner's alone, whatever the umask; `store share` opens what readers need to a group,
new things too.
"""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import httpx
import pytest
from filelock import FileLock

from modelyard.cli import app as cli
from modelyard.errors import StoreError
from modelyard.files import folder_written_whole, make_folder, write_atomically, write_json
from modelyard.home import Home
from modelyard.machine.environment import callers_files, configure, private_files
from modelyard.machine.sharing import close_root, share, unshare
from modelyard.operations.sign_in import auth_file, make_auth
from modelyard.releases import ledger_writer
from tests.readers import as_user
from tests.serving.bundles import Linear, images, release, write_bundle

ROOT = Path(__file__).parents[2]
GROUP = 4242
Modes = dict[Path, str]


@pytest.fixture(autouse=True)
def _usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def home(store: Path) -> Home:
    return Home(store / "runs")


@pytest.fixture
def old(home: Home) -> Home:
    """A store as it was made before: readable by all."""
    for name in ("releases", "prefect", "logs", "state"):
        (home.root / name).mkdir(parents=True)
    for name in ("mlflow.db", "mlflow.db.x.bak", "prefect/prefect.db", "logs/up.log", "state/auth"):
        (home.root / name).write_text("")
    release(home.releases, 1, Linear.seeded(1), "champion")
    return home


def modes(*paths: Path) -> list[str]:
    return [f"{stat.S_IMODE(path.stat().st_mode):o}" for path in paths]


def open_below(path: Path) -> Modes:
    """All that another user than the owner has any right to and can come to."""
    mode = stat.S_IMODE(path.lstat().st_mode)
    inside = path.iterdir() if path.is_dir() and mode & 0o011 else ()
    found = {} if path.is_symlink() or not mode & 0o077 else {path: f"{mode:o}"}
    return {name: below for child in inside for name, below in open_below(child).items()} | found


def move_on(home: Home, version: int) -> None:
    """A version is published and promoted, as a run does it."""
    with private_files(), folder_written_whole(home.releases / "fruit" / str(version)) as scratch:
        scratch.rmdir()
        write_bundle(scratch, Linear.seeded(version))
    with private_files():
        entry = {
            "time": "2026-11-24T12:00:00+00:00",
            "alias": "champion",
            "from": 1,
            "to": version,
            "who": "x",
            "why": "y",
        }
        ledger_writer.append(home.releases / "fruit", [entry])
        write_json(home.releases / "fruit" / f"{version}.gates.json", {})
        write_atomically(home.releases / "fruit" / "champion.alias", f"{version}\n".encode())


def run(*arguments: str) -> int:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as stopped:
        patch.setattr(sys, "argv", ["modelyard", *arguments])
        cli.main()
    return int(stopped.value.code or 0)


def test_what_a_command_makes_is_its_owners_alone_and_the_umask_comes_back(home: Home) -> None:
    with private_files():
        configure(home)
        write_json(make_folder(home.state) / "auth.json", {})
        with folder_written_whole(home.steps / "train-1") as scratch:
            (scratch / "weights").write_bytes(b"")
        with FileLock(make_folder(home.locks) / "store.lock"), (make_folder(home.logs) / "a.log").open("ab"):
            subprocess.run(["touch", str(home.database)], check=True)
        move_on(home, 1)
    assert [path for path in (home.root, *home.root.rglob("*")) if path.stat().st_mode & 0o077] == []
    assert os.umask(0o022) == 0o022


def test_what_is_made_for_others_has_the_callers_umask(tmp_path: Path) -> None:
    with private_files():
        with callers_files():
            (tmp_path / "sheet.png").touch()
        (tmp_path / "own").touch()
    with callers_files():
        (tmp_path / "library").touch()
    assert modes(tmp_path / "sheet.png", tmp_path / "own", tmp_path / "library") == ["644", "600", "644"]


def test_an_exported_repository_can_be_read_by_another_servers_user(home: Home, tmp_path: Path) -> None:
    move_on(home, 1)
    assert run("repository", "export", str(tmp_path / "triton")) == 0
    found = tmp_path / "triton" / "fruit"
    assert modes(found, found / "config.pbtxt", found / "1" / "model.onnx") == ["755", "644", "644"]


def test_a_variable_that_is_empty_is_none(home: Home) -> None:
    with patch.dict(os.environ, {"PREFECT_API_URL": "", "MLFLOW_TRACKING_URI": ""}):
        configure(home)
        assert "PREFECT_API_URL" not in os.environ
        assert os.environ["MLFLOW_TRACKING_URI"].startswith("sqlite:///")


def test_a_store_of_before_is_closed_with_a_line_and_its_container_goes_on(
    old: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    old.root.chmod(0o755)
    with private_files():
        configure(old)
        configure(old)
    assert capsys.readouterr().err.count("others could look into") == 1
    move_on(old, 2)
    fruit = old.releases / "fruit"
    assert modes(old.root, fruit / "champion.alias", fruit / "2" / "model.onnx") == ["700", "644", "644"]


def test_a_folder_that_is_everybodys_is_not_closed(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    assert not close_root(Home(tmp_path))
    assert modes(tmp_path) == ["1777"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has groups to give away")
def test_a_group_reads_releases_and_database_and_nothing_else(old: Home) -> None:
    outside = old.root.parent / "outside"
    outside.touch(0o600)
    (old.releases / "fruit" / "link").symlink_to(outside)
    assert share(old, str(GROUP)) == GROUP
    move_on(old, 2)
    old.database.with_name("mlflow.db-wal").touch(0o640)
    with private_files():
        configure(old)
        make_folder(old.locks)
    found = open_below(old.root)
    elsewhere = {path for path in found if old.releases not in (path, *path.parents)}
    assert elsewhere == {old.root, old.database, old.database.with_name("mlflow.db-wal")}
    expected = (
        "ledger.jsonl",
        "2.gates.json",
        "champion.alias",
        "1/model.onnx",
        "2/model.onnx",
        "2/manifest.json",
    )
    assert found.keys() >= {old.releases / "fruit" / name for name in expected}
    assert {path: mode for path, mode in found.items() if mode != ("2750" if path.is_dir() else "640")} == {
        old.root: "2710"
    }
    assert {path.stat().st_gid for path in found} == {GROUP}
    assert modes(outside) == ["600"]
    unshare(old)
    assert open_below(old.root) == {}
    move_on(old, 3)
    assert open_below(old.root) == {}


def test_a_private_file_stays_so_in_a_folder_that_a_group_reads(home: Home) -> None:
    """C1: as `state` is where a store of before lies below a setgid folder; else the string was made anew for
    ever.
    """
    make_folder(home.state).chmod(0o2750)
    auth = make_auth(home)
    assert modes(auth_file(home)) == ["600"] and make_auth(home) == auth


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--group", "no-such"], "--group expects a group of this machine or its number, received 'no-such'"),
        (["--group", ""], "received ''"),
        (["--group", "٣"], "received '٣'"),
        (["--group", "-1"], "received '-1'"),
        (["--group", "4294967295"], "received '4294967295'"),
        (["--group", "a\x00b"], "received 'a\\x00b'"),
        (["--off", "--group", "0"], "leave out --group"),
    ],
)
def test_wrong_groups_are_one_line(
    arguments: list[str], expected: str, old: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    old.root.chmod(0o700)
    before = open_below(old.root)
    assert run("store", "share", *arguments) == 2
    told = capsys.readouterr().err
    assert expected in told
    assert told.count("\n") == 1
    assert open_below(old.root) == before


def test_sharing_is_told_and_needs_a_store(home: Home, old: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("store", "share", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"store": str(old.root), "group": old.root.stat().st_gid}
    assert run("store", "share", "--off", "--json") == 0
    assert json.loads(capsys.readouterr().out)["group"] is None
    old.database.unlink()
    assert run("store", "share") == 2
    assert "there is no store at" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_only_the_owner_shares_and_only_with_a_group_of_its_own() -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        home.root.chmod(0o755)
        home.database.touch()
        os.seteuid(GROUP)
        try:
            with pytest.raises(StoreError, match="is user 0's, who alone can share it"):
                share(home, None)
        finally:
            os.seteuid(0)
        os.chown(home.root, GROUP, -1)
        os.seteuid(GROUP)
        try:
            with pytest.raises(StoreError, match="with a group that this user is in"):
                share(home, "daemon")
        finally:
            os.seteuid(0)
        assert modes(home.root, home.database) == ["755", "644"]


DOCKERFILE = (ROOT / "Dockerfile").read_text()


def image_command(mlruns: Path, folder: Path, *, group: bool) -> list[str]:
    """What the image runs for the `docker run` that the Dockerfile documents, with the groups and mounts of
    that line.
    """
    documented = " ".join(re.findall(r"^#     (.*)", DOCKERFILE, re.MULTILINE))
    given = re.search(r'--group-add "(\$\(.*?\))"', documented)
    mount = re.search(r'-v "\$PWD/(mlruns/releases):(/releases):ro"', documented)
    entry = re.search(r"^ENTRYPOINT (.*)", DOCKERFILE, re.MULTILINE)
    user = re.search(r"--uid (\d+)", DOCKERFILE)
    assert given and mount and entry and user
    asked = subprocess.run(
        ["sh", "-c", f"echo {given[1]}"], cwd=mlruns.parent, capture_output=True, text=True, check=True
    )
    folder.mkdir()
    return as_user(
        int(user[1]),
        int(asked.stdout) if group else None,
        [*json.loads(entry[1]), "--port", "0", "--workers", "1"],
        folder,
        seen={mlruns.parent / mount[1]: mount[2], ROOT / "src": "/app/src", Path(sys.prefix): "/venv"},
        environment={"PATH": "/venv/bin:/usr/bin:/bin", "PYTHONPATH": "/app/src", "HOME": "/"},
    )


def test_the_documented_container_serves_a_shared_store_and_what_is_promoted_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Dockerfile's entry point, user, mounts and group, without an engine; its health check, too."""
    home = Home(tmp_path / "mlruns")
    with private_files():
        configure(home)
        home.database.touch()
        move_on(home, 1)
    refused = subprocess.run(
        image_command(home.root, tmp_path / "closed", group=True),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert refused.returncode == 2
    assert refused.stderr.splitlines()[-1] == (
        "modelyard: user 10001 may not read /releases; its owner opens it to a group: modelyard store share"
    )
    monkeypatch.setenv("MODELYARD_HOME", str(home.root))
    assert run("store", "share", "--group", str(GROUP)) == 0
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(
            image_command(home.root, tmp_path / "root", group=True),
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as container,
    ):
        try:
            assert container.stdout is not None
            told = re.search(r"http://0\.0\.0\.0:(\d+)", container.stdout.readline())
            assert told, (tmp_path / "log").read_text()
            check = re.search(r'^ CMD (\["python".*)', DOCKERFILE, re.MULTILINE)
            assert check
            subprocess.run([sys.executable, *json.loads(check[1].replace("9700", told[1]))[1:]], check=True)
            with httpx.Client(base_url=f"http://127.0.0.1:{told[1]}") as client:
                pixels_BHWC = images(2)
                asked = client.post("/invocations", json={"inputs": pixels_BHWC.tolist()})
                assert asked.status_code == 200, asked.text
                move_on(home, 2)
                deadline = time.monotonic() + 30
                while client.get("/models").json()[0]["version"] != "2":
                    assert time.monotonic() < deadline, (tmp_path / "log").read_text()
                    time.sleep(0.1)
        finally:
            container.terminate()
    assert container.returncode == 0
