"""What the gateway believes of what a shim says of its kernel's deaths."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from teamhub.gateway.kernel import deaths_of
from teamhub.model import Deaths
from teamhub_shim.protocol import State


def said(deaths: Any, last_exit: Any, at: Any) -> Deaths | None:
    state = State("idle", 0, deaths=deaths, last_exit=last_exit, last_exit_at=at)
    return deaths_of(state)


def test_what_it_says_is_made_fit_for_a_terminal() -> None:
    assert said(2, "killed\x1b[2J\ud800" + "x" * 1000, 0) == Deaths(
        2, "killed?[2J?" + "x" * 289, datetime(1970, 1, 1, tzinfo=UTC)
    )


@pytest.mark.parametrize(
    "state",
    [
        (0, "", None),
        (1, "x", None),
        (2**31, "x", 0),
        (-1, "x", 0),
        (True, "x", 0),
        ("1", "x", 0),
        (1, 5, 0),
        (1, "x", 1e300),
        (1, "x", float("nan")),
    ],
)
def test_what_is_no_use_is_nothing(state: tuple[Any, Any, Any]) -> None:
    assert said(*state) is None
