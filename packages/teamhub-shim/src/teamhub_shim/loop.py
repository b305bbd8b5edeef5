"""The shim's one thread: sockets, file descriptors and timers, without an event framework.

A plain poll loop costs the message path a few microseconds where a coroutine for each message
would cost tens.
"""

from __future__ import annotations

import heapq
import itertools
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import zmq

Source = zmq.Socket[bytes] | int

# As plain numbers: the arithmetic of enumerations costs more than sending a frame.
_LAST = int(zmq.NOBLOCK)
_MORE = int(zmq.NOBLOCK | zmq.SNDMORE)


def send_frames(socket: zmq.Socket[bytes], frames: Sequence[bytes]) -> None:
    """Send a message of at least one frame without blocking.

    Raises:
        zmq.Again: it cannot go now; nothing of it was sent.
        zmq.ZMQError: for instance EHOSTUNREACH; nothing of it was sent.
    """
    send = socket.send
    for frame in frames[:-1]:
        send(frame, _MORE)
    send(frames[-1], _LAST)


class Timer:
    """Something that will be done once, unless it is cancelled before."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Never do it. Does nothing once it was done."""
        self._callback = None

    def fire(self) -> None:
        """Do it, unless that was done or cancelled before."""
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()

    @property
    def pending(self) -> bool:
        """True while it is still to be done."""
        return self._callback is not None


class Loop:
    """Calls a handler when its source is readable, and timers when they are due."""

    def __init__(self) -> None:
        self._poller = zmq.Poller()
        self._handlers: dict[Any, Callable[[], None]] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()

    def add(self, source: Source, handler: Callable[[], None]) -> None:
        """Call `handler` whenever `source` is readable (or, for a descriptor, at its end)."""
        self._handlers[source] = handler
        self._poller.register(source, zmq.POLLIN)

    def drop(self, source: Source) -> None:
        """Forget a source. Does nothing where it is not known."""
        if self._handlers.pop(source, None) is not None:
            self._poller.unregister(source)

    def later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call `callback` once, in `seconds` from now."""
        timer = Timer(callback)
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._order), timer))
        return timer

    def turn(self) -> None:
        """Wait for the next event and handle everything that is due."""
        for source, _ in self._poller.poll(self._timeout_ms()):
            # An earlier handler of this very turn may have dropped it.
            handler = self._handlers.get(source)
            if handler is not None:
                handler()
        if not self._timers:
            return
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[2].fire()

    def _timeout_ms(self) -> int | None:
        while self._timers and not self._timers[0][2].pending:
            heapq.heappop(self._timers)
        if not self._timers:
            return None
        # Rounded up, or the last millisecond would be spent spinning.
        return max(0, math.ceil((self._timers[0][0] - time.monotonic()) * 1000))
