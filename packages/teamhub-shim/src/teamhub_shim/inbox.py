"""What is on its way to the kernel: kept while there is none, and never sent twice."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

REMEMBERED_IDS = 10_000


class Inbox:
    """Messages for the kernel, in the order in which they came.

    While closed (no kernel is ready) they wait, without a bound of their own: what a gateway
    may hand over is bounded there.

    Args:
        deliver: hands the parts of a message to a channel of the kernel that is ready.
        remembered: how many message ids are remembered in order to drop repeats.
    """

    def __init__(
        self,
        deliver: Callable[[str, Sequence[bytes]], None],
        remembered: int = REMEMBERED_IDS,
    ) -> None:
        self._deliver = deliver
        self._remembered = remembered
        self._ids: dict[bytes, None] = {}
        self._waiting: deque[Callable[[], None]] = deque()
        self._open = False

    def accept(self, channel: str, msg_id: bytes, parts: Sequence[bytes]) -> bool:
        """Take a message. False where its id was seen before, and nothing was done.

        An empty id is never remembered.
        """
        if msg_id:
            if msg_id in self._ids:
                return False
            self._ids[msg_id] = None
            if len(self._ids) > self._remembered:
                del self._ids[next(iter(self._ids))]
        if self._open:
            self._deliver(channel, parts)
        else:
            self._waiting.append(lambda: self._deliver(channel, parts))
        return True

    def after(self, callback: Callable[[], None]) -> None:
        """Call `callback` once everything accepted so far has been delivered."""
        if self._open:
            callback()
        else:
            self._waiting.append(callback)

    def open(self) -> None:
        """Deliver what waits, and from now on at once."""
        self._open = True
        # A delivery may close the inbox again (a shutdown request): the rest then waits on.
        while self._open and self._waiting:
            self._waiting.popleft()()

    def close(self) -> None:
        """Let what comes from now on wait."""
        self._open = False
