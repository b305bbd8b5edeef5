"""What is said of a clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from teamhub.clock import BACK, RELEASED, before_release, went_back

NOW = datetime(2027, 3, 1, 12, 30, tzinfo=UTC)


def test_a_clock_that_is_right_is_not_spoken_of() -> None:
    assert before_release(RELEASED) is None
    assert before_release(NOW) is None
    assert went_back(NOW, None) is None
    assert went_back(NOW, NOW - timedelta(days=400)) is None
    assert went_back(NOW, NOW + BACK) is None


def test_a_clock_before_the_release_whatever_its_zone() -> None:
    east = timezone(timedelta(hours=9))
    said = before_release(datetime(2019, 1, 1, 8, 0, tzinfo=east))
    assert said is not None
    assert said.startswith("the clock of this machine says 2018-12-31 23:00 UTC, which is before")
    assert before_release(RELEASED.astimezone(east)) is None
    assert before_release(RELEASED - timedelta(seconds=1)) is not None


@pytest.mark.parametrize(
    ("span", "told"),
    [
        (timedelta(minutes=6), "6 minutes before"),
        (timedelta(hours=1), "1 hour before"),
        (timedelta(hours=23, minutes=59), "23 hours before"),
        (timedelta(days=1), "1 day before"),
        (timedelta(days=400), "400 days before"),
    ],
)
def test_how_far_a_clock_went_back(span: timedelta, told: str) -> None:
    said = went_back(NOW, NOW + span)
    assert said is not None
    assert f"says 2027-03-01 12:30 UTC, {told} the newest moment in the database" in said
    assert "\n" not in said
