"""What code a step's result depends on: the modules that its body imports, and a digest of them.

A docstring, a comment, an annotation or the declaration of a recipe's field (its value is in the slice) is no
code. What decides only how a step is done is left out (`LEFT_OUT`).
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import BaseModel

from modelyard.errors import ConfigError
from modelyard.files import sha256_of_file, sha256_of_json

PACKAGE = "modelyard"
ROOT = Path(__file__).parents[1]
LEFT_OUT = {"errors", "config", "home", "files", "seals", "progress", "terminal", "machine", "steps"}
"""Rooms and modules that decide how a step is done, never what comes of it; of `steps` only the body
counts."""
CONFIGS = "Config", "Slice"
"""How the names of our configurations' base classes end."""
TABLE_MARK = "IS_TABLE_ROOM"
"""A package that assigns this name in its `__init__` only lists its members: an import of it depends on those
that the slice holds, so that a new member repeats nothing."""
CHANGED = "modelyard was changed while this process ran: restart it"


@dataclass(frozen=True, slots=True)
class Module:
    """What of a source file decides results."""

    digest: str
    imports: frozenset[str]
    """Dotted names, each a module of ours or a name within one."""
    is_table: bool


Reader = Callable[[str], Module | None]
"""Dotted name -> module; None where there is none of that name."""
_read_before: dict[Path, tuple[tuple[int, int], Module]] = {}
_first: dict[Path, str] = {}


def code_digest(body: str, members: Iterable[str] = ()) -> str:
    """Of all that `body` and the members of table rooms in its slice import.

    Raises: ConfigError where a file is not as it was when this process first read it: what was imported is
    older.
    """
    names = closure(body, members)
    for name in names:
        if (module := read_module(name)) and module.digest != _first.setdefault(_file(name), module.digest):
            raise ConfigError(CHANGED)
    return digest_of(names)


def digest_of(names: Iterable[str], read: Reader | None = None) -> str:
    """Digest of the modules `names`, and of the files that are no Python beside them."""
    read, names = read or read_module, sorted(names)
    data = {path.name: sha256_of_file(path) for name in names for path in _data_files(_file(name).parent)}
    return sha256_of_json([[name, module.digest] for name in names if (module := read(name))] + [data])


def closure(body: str, members: Iterable[str] = (), read: Reader | None = None) -> set[str]:
    """Dotted names of the modules that `body` and `members` import, themselves included; those of
    `LEFT_OUT` and table rooms are not."""
    read = read or read_module
    found: set[str] = set()
    waiting = {body, *members}
    while waiting:
        name = waiting.pop()
        module = read(name)
        if module is None or module.is_table or name in found:
            continue
        found.add(name)
        waiting |= _modules_of(module.imports) - found
    return found


def members_of(value: object) -> set[str]:
    """The modules of the classes of a slice and of all configurations in it."""
    if isinstance(value, BaseModel):
        inner = [members_of(part) for _, part in value]
        return {type(value).__module__}.union(*inner)
    if isinstance(value, tuple | list):
        return set().union(*map(members_of, value))
    return set()


def is_left_out(name: str) -> bool:
    """Whether a module decides nothing of what is made."""
    return name == PACKAGE or name.split(".")[1] in LEFT_OUT


def read_module(name: str) -> Module | None:
    """The module as it lies on the disk; parsed again only where size or time of its file changed."""
    try:
        path = _file(name)
        stat = path.stat()
    except OSError:
        return None
    seen = (stat.st_mtime_ns, stat.st_size)
    if path not in _read_before or _read_before[path][0] != seen:
        _read_before[path] = (seen, parse_module(path.read_text()))
    return _read_before[path][1]


def parse_module(source: str) -> Module:
    """What of a source text counts."""
    code = _Code()
    tree = code.visit(ast.parse(source))
    marks = (target for node in tree.body if isinstance(node, ast.Assign) for target in node.targets)
    is_table = any(isinstance(target, ast.Name) and target.id == TABLE_MARK for target in marks)
    return Module(hashlib.sha256(ast.dump(tree).encode()).hexdigest(), frozenset(code.imports), is_table)


class _Code(ast.NodeTransformer):
    """Takes from a tree what decides nothing, and notes what is imported."""

    def __init__(self) -> None:
        self.imports: set[str] = set()

    def visit_Import(self, node: ast.Import) -> ast.AST:
        self.imports |= {alias.name for alias in node.names}
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST:
        self.imports |= {f"{node.module}.{alias.name}" for alias in node.names}
        return node

    def visit_If(self, node: ast.If) -> ast.AST:
        if ast.unparse(node.test).split(".")[-1] == "TYPE_CHECKING":
            node.body = []
        return self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if is_text else self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.annotation = ast.Constant(None)
        return self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        if any(ast.unparse(base).endswith(CONFIGS) for base in node.bases):
            node.body = [part for part in node.body if not isinstance(part, ast.AnnAssign)]
        return self.generic_visit(node)


@cache
def _modules_of(names: frozenset[str]) -> frozenset[str]:
    """The modules of ours that an import of these names runs, those of the packages around them, too."""
    found: set[str] = set()
    for name in names:
        parts = name.split(".")
        around = [".".join(parts[:end]) for end in range(2, len(parts) + 1)]
        found |= {module for module in around if parts[0] == PACKAGE and not is_left_out(module)}
    return frozenset(found)


@cache
def _file(name: str) -> Path:
    path = ROOT.joinpath(*name.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def _data_files(folder: Path) -> tuple[Path, ...]:
    """What a body may read that is no Python; the root's is nobody's."""
    files = (path for path in sorted(folder.iterdir()) if path.is_file())
    return tuple(path for path in files if path.suffix not in {".py", ".pyc"} and folder != ROOT)
