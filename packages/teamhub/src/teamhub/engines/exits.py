"""Being told that a process has ended, whoever its parent is."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import psutil

from teamhub.engines import processes


@dataclass
class _Watch:
    pid: int
    started: str
    over: asyncio.Event = field(default_factory=asyncio.Event)
    descriptor: int | None = None


class Exits:
    """Watches processes and calls back once for each that ends.

    On Linux by a pidfd in the event loop, for children and adopted processes alike; where there
    is none, by a thread for each. No interval is waited for. Belongs to one event loop.
    """

    def __init__(self, ended: Callable[[int, str, int | None], None]) -> None:
        """Args:
        ended: called in the event loop with pid, start and exit code (None: not a child).
        """
        self._ended = ended
        self._watches: dict[tuple[int, str], _Watch] = {}

    def watch(self, pid: int, started: str) -> None:
        """Call back when this process ends, or soon where it already has. Twice is once."""
        key = (pid, started)
        if key in self._watches:
            return
        watch = self._watches[key] = _Watch(pid, started)
        loop = asyncio.get_running_loop()
        try:
            watch.descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            loop.call_soon(self._over, watch, None)
            return
        except (AttributeError, OSError):
            thread = threading.Thread(target=self._wait, args=(watch, loop), daemon=True)
            thread.start()
            return
        process = processes.find(pid)
        if process is None or process.started != started:
            loop.call_soon(self._over, watch, None)
        else:
            loop.add_reader(watch.descriptor, self._readable, watch)

    async def wait(self, pid: int, started: str, timeout_seconds: float) -> bool:
        """Wait until this process has ended. Return False where the time was not enough."""
        self.watch(pid, started)
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._watches[pid, started].over.wait()
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        """Watch no longer; nothing is called back any more. A second call does nothing."""
        for watch in self._watches.values():
            self._release(watch)
        self._watches.clear()

    def _readable(self, watch: _Watch) -> None:
        self._over(watch, processes.reap(watch.pid, watch.started))

    def _wait(self, watch: _Watch, loop: asyncio.AbstractEventLoop) -> None:
        code: int | None = None
        try:
            process = psutil.Process(watch.pid)
            if processes.runs(watch.pid, watch.started):
                code = process.wait()
            else:
                code = processes.reap(watch.pid, watch.started)
        except psutil.Error:
            code = None
        try:
            loop.call_soon_threadsafe(self._over, watch, code)
        except RuntimeError:
            return  # the loop was closed meanwhile: nobody wants to know any more

    def _over(self, watch: _Watch, code: int | None) -> None:
        self._release(watch)
        if self._watches.pop((watch.pid, watch.started), None) is None:
            return
        watch.over.set()
        self._ended(watch.pid, watch.started, code)

    @staticmethod
    def _release(watch: _Watch) -> None:
        if watch.descriptor is not None:
            asyncio.get_running_loop().remove_reader(watch.descriptor)
            os.close(watch.descriptor)
            watch.descriptor = None
