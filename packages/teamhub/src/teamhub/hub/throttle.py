"""Brakes on guessing, and on asking for too much: who comes too often has to wait.

All of it is in memory, bounded, and forgotten by a restart.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

FREE_FAILURES = 5
LONGEST_DELAY_SECONDS = 30.0
FORGET_SECONDS = 900.0
MAXIMUM_KEYS = 10_000

ADDRESS_FAILURES = 30
ADDRESS_REFILL_SECONDS = 15.0
ACCOUNT_FAILURES = 50
ACCOUNT_REFILL_SECONDS = 5.0

_Value = TypeVar("_Value")


@dataclass
class _Record:
    count: float
    last_at: float


class Brake(Protocol):
    """What can make somebody wait."""

    def wait(self, key: Hashable) -> float:
        """Return for how many seconds an attempt would have to wait; 0: not at all."""

    def begin(self, key: Hashable) -> None:
        """Count an attempt."""

    def withdraw(self, key: Hashable) -> None:
        """Take back the last attempt that was counted."""


class Throttle:
    """Failures by key: some are free, then each makes the next wait longer.

    An attempt counts as failed from its beginning, so that many at once are no way around it.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._records: OrderedDict[Hashable, _Record] = OrderedDict()

    def wait(self, key: Hashable) -> float:
        """Return for how many seconds an attempt would have to wait; 0: not at all."""
        record = self._record(key)
        if record.count < FREE_FAILURES:
            return 0.0
        delay = min(math.pow(2, min(record.count - FREE_FAILURES, 10)), LONGEST_DELAY_SECONDS)
        return max(record.last_at + delay - self._clock(), 0.0)

    def begin(self, key: Hashable) -> None:
        """Count an attempt."""
        _keep(self._records, key, _Record(self._record(key).count + 1, self._clock()))

    def attempt(self, key: Hashable) -> float:
        """Begin an attempt. Returns 0, or the seconds to wait; then nothing has begun."""
        wait_seconds = self.wait(key)
        if not wait_seconds:
            self.begin(key)
        return wait_seconds

    def withdraw(self, key: Hashable) -> None:
        """Take back the last attempt that was counted."""
        record = self._records.get(key)
        if record is not None:
            record.count = max(record.count - 1, 0)

    def succeeded(self, key: Hashable) -> None:
        """Forget the failures of a key."""
        self._records.pop(key, None)

    def _record(self, key: Hashable) -> _Record:
        record = self._records.get(key)
        if record is None or self._clock() - record.last_at > FORGET_SECONDS:
            return _Record(0, self._clock())
        return record


class Allowance:
    """So many attempts by key, one of which comes back in a given time: no wait is longer.

    Args:
        size: how many may be made at once.
        refill_seconds: after which time there is one more.
        clock: seconds that only grow.
    """

    def __init__(
        self, size: int, refill_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._size = size
        self._refill_seconds = refill_seconds
        self._clock = clock
        self._records: OrderedDict[Hashable, _Record] = OrderedDict()

    def wait(self, key: Hashable) -> float:
        """Return for how many seconds an attempt would have to wait; 0: not at all."""
        return max((self._spent(key) + 1 - self._size) * self._refill_seconds, 0.0)

    def begin(self, key: Hashable) -> None:
        """Count an attempt."""
        _keep(self._records, key, _Record(self._spent(key) + 1, self._clock()))

    def attempt(self, key: Hashable) -> float:
        """Begin an attempt. Returns 0, or the seconds to wait; then nothing has begun."""
        wait_seconds = self.wait(key)
        if not wait_seconds:
            self.begin(key)
        return wait_seconds

    def withdraw(self, key: Hashable) -> None:
        """Take back the last attempt that was counted."""
        if key in self._records:
            self._records[key] = _Record(max(self._spent(key) - 1, 0), self._clock())

    def _spent(self, key: Hashable) -> float:
        record = self._records.get(key)
        if record is None:
            return 0.0
        back = (self._clock() - record.last_at) / self._refill_seconds
        return max(record.count - back, 0.0)


class SignInThrottle:
    """The brakes on guessing passwords: by account and address, by address, and by account.

    Whoever guesses at one account from one address is slowed down first. An address that tries
    many accounts, and an account that is tried from many addresses, have more before they wait,
    and never wait for long. Where an account has been signed in to from an address, only the first
    brake counts for the two: nobody else can keep its owner out.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._pairs = Throttle(clock)
        self._addresses = Allowance(ADDRESS_FAILURES, ADDRESS_REFILL_SECONDS, clock)
        self._accounts = Allowance(ACCOUNT_FAILURES, ACCOUNT_REFILL_SECONDS, clock)
        self._known: OrderedDict[Hashable, bool] = OrderedDict()

    def attempt(self, account: str, address: str) -> float:
        """Begin an attempt. Returns 0, or the seconds to wait; then nothing has begun."""
        brakes = self._brakes(account, address)
        wait_seconds = max(brake.wait(key) for brake, key in brakes)
        if not wait_seconds:
            for brake, key in brakes:
                brake.begin(key)
        return wait_seconds

    def succeeded(self, account: str, address: str) -> None:
        """Say that the last attempt has not failed; failures before it at others still count."""
        self.withdraw(account, address)
        self._pairs.succeeded((account, address))
        _keep(self._known, (account, address), True)

    def withdraw(self, account: str, address: str) -> None:
        """Take back the last attempt: whether it was right could not be found out."""
        for brake, key in self._brakes(account, address):
            brake.withdraw(key)

    def _brakes(self, account: str, address: str) -> Sequence[tuple[Brake, Hashable]]:
        pair = (account, address)
        if pair in self._known:
            return [(self._pairs, pair)]
        return [(self._pairs, pair), (self._addresses, address), (self._accounts, account)]


def _keep(records: OrderedDict[Hashable, _Value], key: Hashable, value: _Value) -> None:
    """Keep a value as the newest; the oldest goes where there are too many."""
    records[key] = value
    records.move_to_end(key)
    if len(records) > MAXIMUM_KEYS:
        records.popitem(last=False)
