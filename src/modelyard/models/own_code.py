"""The source files of a user's own module: read once, digested, and executed from the very bytes that were
digested.

They have names of their own in `sys.modules` (`modelyard_own_1.layers`), so that two modules with a
`layers.py` each never mix and nobody else's imports change; `from layers import block` in one of them means
the file beside it.
"""

from __future__ import annotations

import ast
import builtins
import hashlib
import importlib
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, spec_from_file_location
from itertools import count
from pathlib import Path
from stat import S_IWOTH
from types import ModuleType
from typing import Any

from modelyard.errors import ConfigError
from modelyard.files import full_path, read_regular, sha256_of_json
from modelyard.models.own_modules import demand_recorded

MOST_BYTES = 10_000_000
"""Of all files together."""
MOST_BASES = 5
"""Folders above the file, its own included, that may be the one that names start from."""
DYNAMIC = re.compile(rb"\b(importlib|pkgutil|__import__)\b")
"""Who says this may import any file beside it."""
NEVER_OWN = sys.stdlib_module_names | {"torch", "__main__"}
"""Absolute imports that never mean a file beside the module."""
_numbers = count(1)
Parts = tuple[str, ...]


@dataclass(slots=True)
class OwnCode:
    """A module's file and all files of its folder, or of its outermost package, that their import statements
    name.
    """

    base: Path
    """The file's folder, or that of its outermost package; or one above, from which what they import is
    named.
    """
    main: str
    """The module's file; like all paths here relative to `base`, with slashes."""
    sources: dict[str, bytes] = field(default_factory=dict)
    tops: dict[str, Parts] = field(default_factory=dict)
    """What `import NAME` means in these files, by the first part of the name."""
    missing: set[str] = field(default_factory=set)
    """Such names that are neither installed nor here."""

    @classmethod
    def read(cls, file: Path) -> OwnCode:
        """With the base that leaves the fewest imports unknown, as projects name their files from one of the
        folders above.

        Raises: OSError, also when they are too large together; ConfigError when one is a link that leads
        elsewhere.
        """
        first, *above = [folder for folder in file.parents if not (folder / "__init__.py").is_file()][
            :MOST_BASES
        ]
        found = cls._below(first, file)
        for base in above:
            if (
                found.missing and not base.stat().st_mode & S_IWOTH
            ):  # where anybody may leave a file of that name
                found = min(found, cls._below(base, file), key=lambda code: len(code.missing))
        return found

    @classmethod
    def _below(cls, base: Path, file: Path) -> OwnCode:
        code = cls(base, file.relative_to(base).as_posix())
        waiting = [code.main, *code._found(_parts(code.main))]
        while waiting:
            path = waiting.pop()
            if path not in code.sources:
                if not full_path(base / path).is_relative_to(base):
                    raise ConfigError(
                        f"{base / path}: leads out of {base}; expected a file in it, a copy for instance"
                    )
                code.sources[path] = read_regular(
                    base / path, MOST_BYTES - sum(map(len, code.sources.values()))
                )
                waiting += code._imports(path)
        return code

    @property
    def files(self) -> dict[str, str]:
        """Absolute path -> sha256."""
        return {
            str(self.base / path): hashlib.sha256(source).hexdigest()
            for path, source in sorted(self.sources.items())
        }

    @property
    def digest(self) -> str:
        """Of the names and contents of all files, wherever the folder lies."""
        return sha256_of_json([sorted(self.sources), list(self.files.values())])

    def _imports(self, path: str) -> Iterator[str]:
        source, package = self.sources[path], Path(path).parent.parts
        try:
            nodes = list(ast.walk(ast.parse(source)))
        except (SyntaxError, ValueError):  # whoever executes it is told
            return
        for node in nodes:
            wanted: list[Parts] = []
            if isinstance(node, ast.Import):
                wanted = [self._own(alias.name) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                name = node.module or ""
                named = tuple(filter(None, name.split(".")))
                origin = (
                    (*package[: len(package) + 1 - node.level], *named) if node.level else self._own(name)
                )
                wanted = [(*origin, alias.name) for alias in node.names if origin or node.level]
            yield from (found for parts in wanted for found in self._found(parts))
        if DYNAMIC.search(source):
            folder = (self.base / path).parent
            beside = [*folder.glob("*.py"), *folder.glob("*/__init__.py")]
            yield from (file.relative_to(self.base).as_posix() for file in beside)

    def _own(self, name: str) -> Parts:
        """What an absolute `import` means: a file beside the main one, else beside its outermost package; ()
        is none of them.

        A folder without __init__.py counts where nothing installed has its name, as for Python.
        """
        top, *rest = name.split(".")
        for root in (Path(self.main).parent.parts, ()) if top not in NEVER_OWN else ():
            parts = (*root, top)
            if self._path(parts) or (self.base.joinpath(*parts).is_dir() and not self._is_installed(top)):
                self.tops.setdefault(top, parts)
        if top not in (NEVER_OWN | self.tops.keys()) and not self._is_installed(top):
            self.missing.add(top)
        return (*self.tops[top], *rest) if top in self.tops else ()

    def _is_installed(self, name: str) -> bool:
        """By more than a folder of that name, and not above the file, where the working directory may be."""
        origin = getattr(find_spec(name), "origin", None)
        return origin is not None and not set(Path(origin).parents[:2]) & set((self.base / self.main).parents)

    def _found(self, parts: Parts) -> Iterator[str]:
        """The files of a dotted name: its packages', and its own where it is a module."""
        return filter(None, (self._path(parts[:length]) for length in range(1, len(parts) + 1)))

    def _path(self, parts: Parts) -> str | None:
        name = "/".join(parts)
        return next(
            (path for path in (f"{name}/__init__.py", f"{name}.py") if (self.base / path).is_file()), None
        )


def _parts(path: str) -> Parts:
    parts = Path(path).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


@cache
def load(file: str, digest: str) -> ModuleType:
    """The module of `file`, executed once for each content of it and of what it imports.

    Raises: ConfigError where a scheduled run may not; ValueError when a file is not what the digest was taken
    of; what the module raises.
    """
    code = OwnCode.read(Path(file))
    if code.digest != digest:
        raise ValueError("it was edited after the run began, or a file that it imports was")
    for path, found in code.files.items():
        demand_recorded(path, found)
    importer = _Importer(f"modelyard_own_{next(_numbers)}", code)
    sys.meta_path.insert(0, importer)  # before Python's own, which would look for a cached .pyc of others
    return importlib.import_module(".".join((importer.name, *_parts(code.main))))


class _Importer(Loader):
    """Finds and executes the files of one module below its name; nothing else is ever found by it."""

    def __init__(self, name: str, code: OwnCode) -> None:
        self.name, self.code = name, code
        self.modules = {".".join((name, *_parts(path))): path for path in code.sources}

    def find_spec(self, fullname: str, _path: object = None, _target: object = None) -> ModuleSpec | None:
        """Python's finder protocol."""
        if not f"{fullname}.".startswith(f"{self.name}."):
            return None
        folder = self.code.base.joinpath(*fullname.split(".")[1:])
        path = self.modules.get(fullname)
        if path is None and not any(module.startswith(f"{fullname}.") for module in self.modules):
            raise ModuleNotFoundError(f"No module named {folder.name!r} in {folder.parent}", name=fullname)
        places = [str(folder)] if path is None or path.endswith("__init__.py") else None
        return spec_from_file_location(
            fullname,
            self.code.base / path if path else folder,
            loader=self,
            submodule_search_locations=places,
        )

    def exec_module(self, module: ModuleType) -> None:
        """Run the source, if it is no mere folder; its import statements ask `_import`."""
        if path := self.modules.get(module.__name__):
            vars(module)["__builtins__"] = vars(builtins) | {"__import__": self._import}
            exec(
                compile(self.code.sources[path], str(self.code.base / path), "exec", dont_inherit=True),
                vars(module),
            )

    def _import(
        self,
        name: str,
        scope: Any = None,
        names: Any = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """`__import__` as these files see it."""
        top, *rest = name.split(".")
        if level or top not in self.code.tops:
            return builtins.__import__(name, scope, names, fromlist or (), level)
        parent = ".".join((self.name, *self.code.tops[top]))
        full = ".".join((parent, *rest))
        importlib.import_module(full)
        return (
            builtins.__import__(full, fromlist=fromlist) if fromlist else sys.modules[parent]
        )  # `import a.b` gives a
