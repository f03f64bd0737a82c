"""The verbs of the command line for scripts and notebooks.

One store for each process: that of MODELYARD_HOME, or of the working directory, at the first call.
"""

from __future__ import annotations

import asyncio
import html
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any, TypeVar

from modelyard.home import Home
from modelyard.machine.environment import configure, private_files
from modelyard.machine.how import DEFAULT_DEVICE

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a comparison came to."""

    dataset: str
    board: list[dict[str, Any]]
    """One row for each architecture, as the command line prints it."""
    promoted: bool
    why: str

    @property
    def versions(self) -> dict[str, int]:
        """Architecture -> the version that was registered."""
        return {str(row["architecture"]): int(row["version"]) for row in self.board}

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{html.escape(name)}</th>" for name in self.board[0])
        lines = ["".join(f"<td>{html.escape(str(cell))}</td>" for cell in row.values()) for row in self.board]
        rows = "".join(f"<tr>{line}</tr>" for line in lines)
        led = "promoted" if self.promoted else "champion unchanged"
        return f"<table><tr>{head}</tr>{rows}</table><p>{led}: {html.escape(self.why)}</p>"


@private_files()
def run(
    dataset: str = "auto", *, architectures: Sequence[str] = (), preset: str = "standard",
    assignments: Sequence[str] = (), seed: int = 0, device: str = DEFAULT_DEVICE,
    skip_unreadable: bool = False, name: str = "",
) -> RunResult:  # fmt: skip
    """Train, evaluate, export, verify and register every architecture; promote the best: `modelyard run`.

    `assignments` are those of `--set`: "training.epochs=3", `name` is the model's. Steps that were done
    before are skipped.
    Raises: ModelyardError with the line that the command would print.
    """
    configure(Home.current())
    from flows.session import run_compare
    from modelyard.recipes.words import Words

    words = Words(
        dataset=dataset, architectures=tuple(architectures), preset=preset, assignments=tuple(assignments),
        seed=seed, device=device, skip_unreadable=skip_unreadable, name=name,
    )  # fmt: skip
    result = _beside_a_loop(lambda: run_compare(words))
    return RunResult(result["dataset"], result["board"], result["promoted"], result["why"])


def _beside_a_loop(call: Callable[[], Result]) -> Result:
    """A notebook has an event loop in its thread, which a flow that is not async must not meet."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return call()
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(copy_context().run, call).result()


@private_files()
def versions(model: str = "") -> list[dict[str, Any]]:
    """Every registered version (of one model) with its aliases, as `modelyard models list` shows it."""
    configure(Home.current())
    from modelyard.registry import versions as registry

    home = Home.current()
    return [
        version.as_row()
        for name in ([model] if model else registry.model_names(home))
        for version in registry.versions(home, name)
    ]


@private_files()
def promote(model: str, *, alias: str = "champion", reason: str = "", force: bool = False) -> str:
    """Make `name@version` champion if it passes its gates; gives what was done. Raises: PromotionError,
    StoreError.
    """
    configure(Home.current())
    from modelyard.promotion.manual import promote_version

    return promote_version(Home.current(), model, alias, reason=reason, force=force)


@private_files()
def rollback(model: str, *, to: int | None = None, reason: str = "") -> str:
    """Give the champion's place back to the one before, or to version `to`. Raises: StoreError."""
    configure(Home.current())
    from modelyard.promotion import manual

    return manual.rollback(Home.current(), model, to, reason=reason)
