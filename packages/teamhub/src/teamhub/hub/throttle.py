"""A brake on guessing: after some failures the next attempt has to wait, longer each time."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

FREE_FAILURES = 5
LONGEST_DELAY_SECONDS = 30.0
FORGET_SECONDS = 900.0
MAXIMUM_KEYS = 10_000


@dataclass
class _Record:
    failures: int
    last_at: float


class Throttle:
    """Failures by key (an account and an address), in memory: a restart forgets them.

    An attempt counts as failed from its beginning, so that many at once are no way around it.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._records: OrderedDict[Hashable, _Record] = OrderedDict()

    def attempt(self, key: Hashable) -> float:
        """Begin an attempt. Returns 0, or the seconds to wait; then nothing has begun."""
        moment = self._clock()
        record = self._records.get(key)
        if record is None or moment - record.last_at > FORGET_SECONDS:
            record = _Record(0, moment)
        if record.failures >= FREE_FAILURES:
            delay = min(2.0 ** min(record.failures - FREE_FAILURES, 10), LONGEST_DELAY_SECONDS)
            left = record.last_at + delay - moment
            if left > 0:
                return left
        self._records[key] = _Record(record.failures + 1, moment)
        self._records.move_to_end(key)
        if len(self._records) > MAXIMUM_KEYS:
            self._records.popitem(last=False)
        return 0.0

    def succeeded(self, key: Hashable) -> None:
        """Forget the failures of a key."""
        self._records.pop(key, None)
