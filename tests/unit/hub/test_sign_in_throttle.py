"""How long guessing has to wait."""

from __future__ import annotations

import pytest
from teamhub.hub.throttle import (
    ACCOUNT_FAILURES,
    ACCOUNT_REFILL_SECONDS,
    ADDRESS_FAILURES,
    ADDRESS_REFILL_SECONDS,
    FORGET_SECONDS,
    FREE_FAILURES,
    LONGEST_DELAY_SECONDS,
    MAXIMUM_KEYS,
    Allowance,
    SignInThrottle,
    Throttle,
)


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


@pytest.mark.parametrize("brake", [Throttle(Clock()), Allowance(1, 1.0, Clock())])
def test_memory_is_bounded(brake: Throttle | Allowance) -> None:
    for number in range(MAXIMUM_KEYS + 100):
        brake.attempt(number)
    assert len(brake._records) == MAXIMUM_KEYS


def test_allowance_comes_back_one_by_one() -> None:
    clock = Clock()
    allowance = Allowance(3, 10.0, clock)
    assert [allowance.attempt("a") for _ in range(3)] == [0, 0, 0]
    assert allowance.attempt("a") == pytest.approx(10)
    assert allowance.attempt("a") == pytest.approx(10), "being refused makes it no longer"
    assert allowance.attempt("b") == 0
    clock.seconds += 10
    assert allowance.attempt("a") == 0
    assert allowance.attempt("a") == pytest.approx(10)
    allowance.withdraw("a")
    assert allowance.attempt("a") == 0
    clock.seconds += 1000
    assert [allowance.attempt("a") for _ in range(3)] == [0, 0, 0]
    assert allowance.attempt("a") > 0


def test_one_account_from_one_address_waits_first() -> None:
    throttle = SignInThrottle(Clock())
    assert [throttle.attempt("alice", "1.1.1.1") for _ in range(FREE_FAILURES)] == [0] * 5
    assert throttle.attempt("alice", "1.1.1.1") == 1
    assert throttle.attempt("alice", "2.2.2.2") == 0
    assert throttle.attempt("bob", "1.1.1.1") == 0


def test_one_address_cannot_try_all_accounts() -> None:
    clock = Clock()
    throttle = SignInThrottle(clock)
    for number in range(ADDRESS_FAILURES):
        assert throttle.attempt(f"user-{number}", "1.1.1.1") == 0
    assert throttle.attempt("one-more", "1.1.1.1") == pytest.approx(ADDRESS_REFILL_SECONDS)
    assert throttle.attempt("one-more", "2.2.2.2") == 0
    # Signing in to an account of one's own buys nothing.
    clock.seconds += ADDRESS_REFILL_SECONDS
    assert throttle.attempt("mallory", "1.1.1.1") == 0
    throttle.succeeded("mallory", "1.1.1.1")
    assert throttle.attempt("one-more", "1.1.1.1") == 0
    assert throttle.attempt("two-more", "1.1.1.1") > 0


def test_many_addresses_cannot_try_one_account_for_long() -> None:
    throttle = SignInThrottle(Clock())
    for number in range(ACCOUNT_FAILURES):
        assert throttle.attempt("alice", f"10.0.0.{number}") == 0
    assert throttle.attempt("alice", "9.9.9.9") == pytest.approx(ACCOUNT_REFILL_SECONDS)
    assert throttle.attempt("bob", "9.9.9.9") == 0


def test_nobody_keeps_an_owner_out_from_where_they_sign_in() -> None:
    clock = Clock()
    throttle = SignInThrottle(clock)
    assert throttle.attempt("alice", "1.1.1.1") == 0
    throttle.succeeded("alice", "1.1.1.1")
    for number in range(ACCOUNT_FAILURES + 10):
        throttle.attempt("alice", f"10.0.0.{number}")
    for number in range(ADDRESS_FAILURES + 10):
        throttle.attempt(f"user-{number}", "1.1.1.1")
    assert throttle.attempt("alice", "1.1.1.1") == 0
    # From elsewhere they wait, and never for longer than this.
    assert 0 < throttle.attempt("alice", "8.8.8.8") <= LONGEST_DELAY_SECONDS
    # And where they are known they can still not guess.
    for _ in range(FREE_FAILURES):
        throttle.attempt("alice", "1.1.1.1")
    assert throttle.attempt("alice", "1.1.1.1") > 0


def test_attempt_that_came_to_nothing_is_not_held_against_anybody() -> None:
    throttle = SignInThrottle(Clock())
    for _ in range(ACCOUNT_FAILURES * 2):
        assert throttle.attempt("alice", "1.1.1.1") == 0
        throttle.withdraw("alice", "1.1.1.1")


def test_known_addresses_are_bounded() -> None:
    throttle = SignInThrottle(Clock())
    for number in range(MAXIMUM_KEYS + 100):
        throttle.succeeded(f"user-{number}", "1.1.1.1")
    assert len(throttle._known) == MAXIMUM_KEYS
