"""How long guessing has to wait."""

from __future__ import annotations

from teamhub.hub.throttle import FORGET_SECONDS, MAXIMUM_KEYS, Throttle


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def test_waits_grow_to_half_a_minute() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    assert [throttle.attempt("a") for _ in range(5)] == [0] * 5
    waits = []
    for _ in range(8):
        wait = throttle.attempt("a")
        assert throttle.attempt("a") == wait, "being refused makes it no longer"
        waits.append(wait)
        clock.seconds += wait
        assert throttle.attempt("a") == 0
    assert waits == [1, 2, 4, 8, 16, 30, 30, 30]
    assert throttle.attempt("b") == 0


def test_success_and_time_forgive() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    for _ in range(5):
        throttle.attempt("a")
        throttle.attempt("b")
    throttle.succeeded("a")
    assert throttle.attempt("a") == 0
    assert throttle.attempt("b") > 0
    clock.seconds += FORGET_SECONDS + 1
    assert [throttle.attempt("b") for _ in range(5)] == [0] * 5


def test_memory_is_bounded() -> None:
    throttle = Throttle(Clock())
    for number in range(MAXIMUM_KEYS + 100):
        throttle.attempt(number)
    assert len(throttle._records) == MAXIMUM_KEYS
