"""`python benchmarks/licences.py` writes docs/licences.md: what each package of requirements.lock is licensed
under.

Read from the installed packages, so it runs in the environment that the lock made.
"""

from __future__ import annotations

import re
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "licences.md"
HEAD = """# Licences of the packages

Made by `make licences` from `requirements.lock` and what the installed packages say; a test compares them.
SPDX: their own expression, else what their metadata name without doubt (`BSD License` may be one of several:
see the file). The file lies below `site-packages`.

| package | version | SPDX | licence file |
| --- | --- | --- | --- |
"""
CLASSIFIERS = {
    "MIT License": "MIT", "Apache Software License": "Apache-2.0", "ISC License (ISCL)": "ISC",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0", "Python Software Foundation License": "PSF-2.0",
}  # fmt: skip
"""Classifiers that stand for one licence."""
IDENTIFIERS = {*CLASSIFIERS.values(), "BSD-2-Clause", "BSD-3-Clause", "0BSD", "MIT-0", "Zlib"}
EMPTY = {"cuda-toolkit": "nvidia-cuda-runtime"}
"""Holds only a list of packages and says nothing -> one of them, whose file counts for it."""
LICENCE_FILE = re.compile(r"(licen[cs]e|copying|eula)[^/]*$", re.IGNORECASE)


def locked() -> dict[str, str]:
    """Package -> version, as the lock has them."""
    return dict(
        re.findall(r"^([\w.-]+)==([^\s;\\]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    )


def installed(name: str, version: str) -> Distribution | None:
    """None where the package, or this version of it, is not installed."""
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return None
    return found if found.version == version else None


def row(name: str, package: Distribution) -> str:
    """A line of the table. Raises: ValueError for a package that says nothing of its licence."""
    identifier = _identifier(package)
    file = _file(distribution(EMPTY[name]) if name in EMPTY else package)
    if not identifier and not file:
        raise ValueError(f"{name} {package.version} names no licence and holds no file of one")
    return f"| {name} | {package.version} | {identifier or 'see the file'} | {f'`{file}`' if file else ''} |"


def _identifier(package: Distribution) -> str:
    told, prefix = package.metadata, "License :: OSI Approved :: "
    (expression,), (stated,) = (told.get_all(field) or [""] for field in ("License-Expression", "License"))
    if expression or set(re.split(r" AND | OR ", stated)) <= IDENTIFIERS:
        return str(expression or stated)
    classifiers = [
        line.removeprefix(prefix) for line in told.get_all("Classifier") or [] if line.startswith(prefix)
    ]
    return CLASSIFIERS.get(classifiers[0], "") if len(classifiers) == 1 else ""


def _file(package: Distribution) -> str:
    """The one nearest to the top: what a wheel holds of others' licences lies deeper."""
    found = [
        str(file)
        for file in package.files or []
        if LICENCE_FILE.search(str(file)) and file.suffix not in {".py", ".pyc"}
    ]
    return min(found, key=lambda file: (".dist-info" not in file, file.count("/"), file), default="")


def main() -> None:
    """Write the page. Raises: ValueError where a package is missing."""
    rows = []
    for name, version in locked().items():
        package = installed(name, version)
        if package is None:
            raise ValueError(f"{name} {version} is not installed: make the environment from the lock first")
        rows.append(row(name, package))
    PAGE.write_text(HEAD + "\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
