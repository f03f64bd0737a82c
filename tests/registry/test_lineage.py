"""Walking back through the champions."""

from __future__ import annotations

import pytest

from modelyard.registry.lineage import lineage
from modelyard.releases.ledger import AliasMove


def promoted(*moves: int | str) -> list[AliasMove]:
    """Promotions to the numbers, and rollbacks to those written as `<2`."""
    made: list[AliasMove] = []
    for move in moves:
        to, action = (move, "promote") if isinstance(move, int) else (int(move.removeprefix("<")), "rollback")
        made.append(AliasMove("champion", made[-1].to if made else None, to, action))
    return made


@pytest.mark.parametrize(
    ("moves", "path", "withdrawn"),
    [
        ((), (), set()),
        ((1, 2, 3), (1, 2, 3), set()),
        ((1, 2, 3, "<2"), (1, 2), {3}),
        ((1, 2, 3, "<2", "<1"), (1,), {2, 3}),
        ((1, 2, 3, "<1"), (1,), {2, 3}),
        ((1, 2, 3, "<2", 4, "<2"), (1, 2), {3, 4}),
        ((1, 2, "<1", 2), (1, 2), set()),
        ((1, 2, 1, "<2"), (1, 2), set()),
        ((1, 2, "<1", "<2"), (1, 2), set()),
        ((1, 2, 2), (1, 2), set()),
    ],
)
def test_a_rollback_goes_back_and_never_forth(
    moves: tuple[int | str, ...], path: tuple[int, ...], withdrawn: set[int]
) -> None:
    found = lineage(promoted(*moves))
    assert found.path == path
    assert found.champion == (path[-1] if path else None)
    assert found.previous == (path[-2] if len(path) > 1 else None)
    assert found.withdrawn >= withdrawn - set(path)


def test_moves_from_before_there_were_actions_are_promotions() -> None:
    old = [AliasMove("champion", None, 1), AliasMove("cnn", None, 9)]
    assert lineage([*old, AliasMove("champion", 1, 2)]).path == (1, 2)


def test_a_ledger_begun_anew_knows_who_led_before() -> None:
    assert lineage([AliasMove("champion", 3, 4, "promote")]).path == (3, 4)
