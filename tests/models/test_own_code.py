"""The files of an own module: found, digested, and executed as Python would, and seen by nobody else."""

from __future__ import annotations

import pickle
import py_compile
import sys
from pathlib import Path

import pytest

from modelyard.errors import ConfigError
from modelyard.home import Home
from modelyard.models import own_code
from modelyard.models.own_code import OwnCode, load
from modelyard.models.own_modules import ONLY_RECORDED, record


def written(folder: Path, **files: str) -> Path:
    """`a__b=...` is a/b.py; gives the folder."""
    for name, source in files.items():
        file = folder / f"{name.replace('__', '/')}.py".replace("/init.py", "/__init__.py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source)
    return folder


def answer(file: Path) -> object:
    """The value of `ANSWER` after an import."""
    return vars(load(str(file), OwnCode.read(file).digest))["ANSWER"]


FORMS = {
    "beside": ("net", {"net": "from layers import ANSWER", "layers": "ANSWER = 7"}),
    "module": ("net", {"net": "import layers as L\nANSWER = L.X", "layers": "X = 7"}),
    "in turn": ("net", {"net": "from a import ANSWER", "a": "from b import X\nANSWER = X", "b": "X = 7"}),
    "folder without init": ("net", {"net": "from blocks.conv import ANSWER", "blocks__conv": "ANSWER = 7"}),
    "dotted": ("net", {"net": "import blocks.conv\nANSWER = "
"blocks.conv.X", "blocks__init": "", "blocks__conv": "X = 7"}),
    "from a package": ("net", {"net": "from blocks import "
"conv\nANSWER = conv.X", "blocks__init": "", "blocks__conv": "X = 7"}),
    "star": ("net", {"net": "from layers import *", "layers": "ANSWER = 7"}),
    "in a function": ("net", {"net": "def f():\n from layers import X\n return "
"X\nANSWER = f()", "layers": "X = 7"}),
    "relative": ("pkg/net", {"pkg__init": "", "pkg__net": "from .layers "
"import ANSWER", "pkg__layers": "ANSWER = 7"}),
    "relative, no init": ("net", {"net": "from .layers import ANSWER", "layers": "ANSWER = 7"}),
    "parent's": ("p/q/net", {"p__init": "X = 7", "p__q__init": "", "p__q__net": "from .. import "
"X\nANSWER = X"}),
    "parent's module": (
        "p/q/net", {"p__init": "", "p__q__init": "", "p__q__net": "from ..c import "
"X as ANSWER", "p__c": "X = 7"},
    ),
    "by its package's name": ("pkg/net", {"pkg__init": "", "pkg__net": "from pkg.c "
"import ANSWER", "pkg__c": "ANSWER = 7"}),
    "beside, in "
"a package": ("pkg/net", {"pkg__init": "", "pkg__net": "from c import ANSWER", "pkg__c": "ANSWER = 7"}),
    "from a folder above": (
        "m/nets/net",
        {"m__nets__net": "from u.c import X\nimport "
"m.d\nANSWER = X + m.d.Y", "u__init": "", "u__c": "X = 3", "m__d": "Y = 4"},
    ),
    "below src": ("src/p/m/net", {"src__p__m__net": "import p.c\nANSWER = p.c.X", "src__p__c": "X = 7"}),
    "beside what is not there": (
        "net", {"net": "try:\n import nosuch\nexcept ImportError:\n from c import ANSWER", "c": "ANSWER = 7"},
    ),
    "one copy": (
        "pkg/net",
        {"pkg__init": "", "pkg__net": "import pkg.c, c\nfrom . import c "
"as d\nANSWER = 7 * (c is d is pkg.c)", "pkg__c": ""},
    ),
    "in a circle": ("net", {"net": "X = 7\nfrom c import ANSWER", "c": "import net\nANSWER = net.X"}),
    "by a computed name": (
        "net",
        {"net": "import importlib\nANSWER = importlib.import_module('.c' + '1', "
"__package__).X", "c1": "X = 7", "c2": "X = 8"},
    ),
    "the standard library's name": ("net", {"net": "import random\nANSWER = 7 if "
"random.random() else 0", "random": "1 / 0"}),
    "an odd file name": ("my net.v2", {"my net.v2": "from c import ANSWER", "c": "ANSWER = 7"}),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_what_it_imports_is_found_digested_and_left_to_it_alone(
    tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, files = FORMS[form]
    monkeypatch.syspath_prepend(tmp_path)  # as where it is the working directory
    file = written(tmp_path, **files) / f"{name}.py"
    path, names = list(sys.path), set(sys.modules)
    assert answer(file) == 7
    assert sys.path == path
    assert {name.partition("_")[0] for name in set(sys.modules) - names} <= {"modelyard"}
    before = OwnCode.read(file)
    for changed in before.files:
        Path(changed).write_text(f"{Path(changed).read_text()}\n# edited")
        assert OwnCode.read(file).digest != before.digest
        Path(changed).write_bytes(before.sources[Path(changed).relative_to(before.base).as_posix()])
    assert OwnCode.read(file).digest == before.digest


def test_what_anybody_may_have_left_in_a_folder_above_is_not_imported(tmp_path: Path) -> None:
    file = (
        written(tmp_path, nets__net="try:\n import c\nexcept ImportError:\n ANSWER = 7", c="ANSWER = 8")
        / "nets/net.py"
    )
    assert len(OwnCode.read(file).files) == 2
    tmp_path.chmod(0o777)
    assert len(OwnCode.read(file).files) == 1
    assert answer(file) == 7


def test_two_modules_with_a_helper_of_one_name_do_not_mix(tmp_path: Path) -> None:
    files = [
        written(
            tmp_path / str(value),
            net="def late():\n import c\n return c.ANSWER\nfrom c import ANSWER",
            c=f"ANSWER = {value}",
        )
        for value in (1, 2)
    ]
    modules = [load(str(folder / "net.py"), OwnCode.read(folder / "net.py").digest) for folder in files]
    assert [(module.ANSWER, module.late()) for module in modules] == [(1, 1), (2, 2)]


def test_a_module_that_moved_is_the_same_and_what_it_does_not_import_changes_nothing(tmp_path: Path) -> None:
    digests = []
    for folder in ("a", "b"):
        written(tmp_path / folder, net="from c import ANSWER", c="ANSWER = 7", other=folder)
        digests.append(OwnCode.read(tmp_path / folder / "net.py").digest)
    assert digests[0] == digests[1]


def test_classes_of_a_helper_can_be_pickled_and_have_hints(tmp_path: Path) -> None:
    source = """
from __future__ import annotations
import typing
from dataclasses import dataclass
@dataclass
class Sizes:
    width: int = 3
"""
    net = (
        f"{source}\nfrom c import Sizes as Other\nANSWER = [Sizes(), Other(), "
        "*map(typing.get_type_hints, (Sizes, Other))]"
    )
    file = written(tmp_path, net=net, c=source) / "net.py"
    found = answer(file)
    assert pickle.loads(pickle.dumps(found)) == found
    assert isinstance(found, list)
    assert found[2:] == [{"width": int}] * 2


def test_neither_a_cached_nor_an_edited_helper_is_executed(tmp_path: Path) -> None:
    file = (
        written(tmp_path, net="def late():\n from c import ANSWER\n return ANSWER", c="ANSWER = 'evil'")
        / "net.py"
    )
    py_compile.compile(
        str(tmp_path / "c.py"), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
    )
    written(tmp_path, c="ANSWER = 7")
    digest = OwnCode.read(file).digest
    module = load(str(file), digest)
    written(tmp_path, c="ANSWER = 'edited'")
    assert module.late() == 7
    own_code.load.cache_clear()
    with pytest.raises(ValueError, match="edited after the run began"):
        load(str(file), digest)


def test_a_scheduled_run_executes_nothing_while_a_file_is_not_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, ran = Home(tmp_path / "runs"), tmp_path / "ran"
    monkeypatch.setenv("MODELYARD_HOME", str(home.root))
    monkeypatch.setenv(ONLY_RECORDED, "1")
    touch = f"open({str(ran)!r}, 'w').close()"
    file = written(tmp_path, net=f"{touch}\ndef late():\n import c\nANSWER = 7", c=touch) / "net.py"
    known = OwnCode.read(file).files
    for missing in known:
        record(home, {path: digest if path != missing else "0" for path, digest in known.items()})
        with pytest.raises(
            ConfigError, match=rf"{Path(missing).name}: not recorded on this machine.*schedule trust"
        ):
            answer(file)
        assert not ran.exists()
    record(home, known)
    assert answer(file) == 7


def test_a_link_that_leads_out_and_more_than_the_bound_are_refused(tmp_path: Path) -> None:
    file = written(tmp_path / "in", net="import c") / "net.py"
    written(tmp_path, secret="ANSWER = 7")
    (tmp_path / "in" / "c.py").symlink_to(tmp_path / "secret.py")
    with pytest.raises(ConfigError, match=r"c\.py: leads out of .*in; expected a file in it"):
        OwnCode.read(file)
    (tmp_path / "in" / "c.py").unlink()
    (tmp_path / "in" / "c.py").write_bytes(b"#" * own_code.MOST_BYTES)
    with pytest.raises(OSError, match="larger than"):
        OwnCode.read(file)
