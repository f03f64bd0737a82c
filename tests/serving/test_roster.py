"""Which model answers where none is named: the champion or nobody."""

from __future__ import annotations

from typing import Any, cast

import pytest

from modelyard.errors import RequestError
from modelyard.releases.pointers import Pointer
from modelyard.serving.models.roster import Roster


def roster(
    pointers: str, *, current: str = "", refused: str = "", loading: str = "", unloaded: str = ""
) -> Roster:
    """Names, each `model` or `model-alias`, by how they stand."""
    made = Roster(set(unloaded.split()))
    for name in pointers.split():
        model, _, alias = name.partition("-")
        made.pointers[name] = Pointer(model, alias or "champion", "1", (0, 0))
    made.current = dict.fromkeys(current.split(), cast(Any, None))
    made.refused = {name: (made.pointers[name], "it is damaged") for name in refused.split()}
    made._following = {name: (made.pointers[name], cast(Any, None)) for name in loading.split()}
    return made


FRUIT = "fruit fruit-cnn fruit-rnn"
OTHERS = "fruit-cnn fruit-rnn"


@pytest.mark.parametrize(
    ("found", "expected", "is_ready"),
    [
        (roster(FRUIT, current=FRUIT), "fruit", True),
        (roster(FRUIT, current=OTHERS, refused="fruit"), (503, "it is damaged"), False),
        (roster(FRUIT, current=OTHERS, loading="fruit"), (503, "'fruit' is being loaded"), False),
        (roster(FRUIT, current=OTHERS, unloaded="fruit"), (503, "'fruit' is unloaded"), False),
        (roster(FRUIT, current="fruit fruit-cnn", refused="fruit-rnn"), "fruit", False),
        (roster(FRUIT, current="fruit fruit-cnn", loading="fruit-rnn"), "fruit", True),
        (roster(FRUIT, current="fruit fruit-cnn", unloaded="fruit-rnn"), "fruit", True),
        (roster(FRUIT, current=FRUIT, loading="fruit"), "fruit", True),  # a promotion
        (roster(FRUIT, current=FRUIT, refused="fruit"), "fruit", True),  # its former version goes on
        (roster("zebra " + FRUIT, current="zebra " + FRUIT), "fruit", True),
        (roster("zebra " + FRUIT, current="zebra " + OTHERS, refused="fruit"), (503, "it is damaged"), False),
        (roster("zebra fruit", current="fruit", refused="zebra"), "fruit", False),
        (roster("zebra fruit", current="fruit", unloaded="zebra"), "fruit", False),
        (roster("zebra fruit", current="fruit", loading="zebra"), "fruit", True),
        (roster("fruit-rnn", current="fruit-rnn"), "fruit-rnn", True),
        (roster(OTHERS, current=OTHERS), (404, "no champion is released; name a model"), True),
        (roster(OTHERS, current="fruit-cnn", refused="fruit-rnn"), "fruit-cnn", False),
        (roster(OTHERS), (404, "none is served"), False),
        (roster(""), (404, "none is served"), False),
    ],
)
def test_the_champion_answers_or_nobody(
    found: Roster, expected: str | tuple[int, str], is_ready: bool
) -> None:
    """13: damaged, refused, unloaded or still loading."""
    assert found.is_ready is is_ready
    if isinstance(expected, str):
        assert found.default_name() == expected
        return
    with pytest.raises(RequestError, match=expected[1]) as refused:
        found.default_name()
    assert refused.value.status == expected[0]
