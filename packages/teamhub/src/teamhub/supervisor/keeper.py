"""Keeping one program running: start it, wait for its end, start it again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from teamhub.supervisor.children import Child, Identity, Program, end_sessions
from teamhub.supervisor.record import ChildRecord
from teamhub.supervisor.terminal import Terminal

log = logging.getLogger("teamhub.supervisor")


@dataclass(frozen=True)
class Patience:
    """How a program that ends is started again.

    Attributes:
        steady_seconds: who has lived as long is well again: the next start is at once.
        longest_delay_seconds: the longest wait before a start.
        grace_seconds: how long what an ended process left in its session has to end.
    """

    steady_seconds: float = 30
    first_delay_seconds: float = 0.5
    longest_delay_seconds: float = 10
    grace_seconds: float = 2

    def delay_seconds(self, failures: int) -> float:
        """Return how long to wait after that many short lives in a row: none, then doubling."""
        if failures <= 1:
            return 0
        return min(self.longest_delay_seconds, self.first_delay_seconds * 2.0 ** (failures - 2))


GIVEN_UP_SAYING = 10
"""After so many short lives in a row it is said once that this goes on."""


class Keeper:
    """Keeps one program running until its task is cancelled; the process then still runs.

    Args:
        program: what to keep.
        log: where its output goes.
        working_dir: where it runs.
        terminal: whom to tell of ends.
        changed: called whenever `record` has changed.
        between: awaited after each end, before the next start.
        started_again: awaited, beside everything else, after each start but the first.
        patience: see there.
    """

    def __init__(
        self,
        program: Program,
        log: Path,
        working_dir: Path,
        terminal: Terminal,
        changed: Callable[[], None],
        *,
        between: Callable[[], Awaitable[None]] | None = None,
        started_again: Callable[[], Awaitable[None]] | None = None,
        patience: Patience | None = None,
    ) -> None:
        self.program = program
        self.child: Child | None = None
        self.leader: Identity | None = None
        """The last process that was started; its session may outlive it."""
        self.record = ChildRecord(pid=None, started_at=None)
        self.failures = 0
        self.last_words = ""
        self.log = log
        self._working_dir = working_dir
        self._terminal = terminal
        self._changed = changed
        self._between = between
        self._started_again = started_again
        self._patience = patience or Patience()
        self._unsaid = False
        self._replacing = False
        self._at_once = asyncio.Event()

    async def run(self) -> None:
        """Keep it running; never returns by itself."""
        after: asyncio.Task[None] | None = None
        try:
            while True:
                how = self._start()
                if self.child is not None:
                    if self.record.restarts and self._started_again is not None:
                        after = asyncio.create_task(_run(self._started_again))
                    await self.child.ended.wait()
                    how = self.child.how_it_ended()
                    if after is not None:
                        after.cancel()
                if self._replacing:
                    await self._note_replaced()
                else:
                    await self._note_end(how)
                    await self._pause(self._patience.delay_seconds(self.failures))
                self._replacing = False
                self._at_once.clear()
        finally:
            if after is not None:
                after.cancel()

    async def replace(self, program: Program, grace_seconds: float) -> None:
        """End what runs and run another program of the same name from then on, at once.

        That is no failure: nothing is counted or said. Returns when the old process and all that
        it started have ended; the new one may not have been started yet.

        Args:
            program: what to run.
            grace_seconds: how long the old process has to end before it is killed.
        """
        child = self.child
        self.program = program
        self.failures = 0
        self._replacing = True
        self._at_once.set()
        if child is not None:
            await end_sessions([child.identity], grace_seconds)
            await child.ended.wait()

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._at_once.wait()

    async def _note_replaced(self) -> None:
        child, self.child = self.child, None
        self._unsaid = False
        self.failures = 0
        self.record = self.record.model_copy(update={"pid": None, "started_at": None})
        self._changed()
        if child is not None:
            await end_sessions([child.identity], self._patience.grace_seconds)
        if self._between is not None:
            await self._between()

    def _start(self) -> str:
        try:
            self.child = Child(self.program, self.log, self._working_dir)
        except OSError as error:
            self.child = None
            return f"cannot be started: {error.filename or self.program.argv[0]}: {error.strerror}"
        identity = self.leader = self.child.identity
        self.record = self.record.model_copy(
            update={"pid": identity.pid, "started_at": identity.started_at}
        )
        self._changed()
        log.info("%s has started, process %d", self.program.title, identity.pid)
        return ""

    async def _note_end(self, how: str) -> None:
        child, self.child = self.child, None
        steady = child is not None and child.life_seconds >= self._patience.steady_seconds
        if steady:
            self._unsaid = False
        self.failures = 1 if steady else self.failures + 1
        self.last_words = child.last_words() if child is not None else how
        self.record = self.record.model_copy(
            update={
                "pid": None,
                "started_at": None,
                "restarts": self.record.restarts + 1,
                "last_exit": how,
                "last_exit_at": datetime.now(UTC),
            }
        )
        self._changed()
        self._tell(how)
        if child is not None:
            # What it started may hold its port.
            await end_sessions([child.identity], self._patience.grace_seconds)
        if self._between is not None:
            await self._between()

    def _tell(self, how: str) -> None:
        title = self.program.title
        log.warning("%s has ended (%s)", title, how)
        if self._unsaid:
            return
        if self.failures >= GIVEN_UP_SAYING:
            self._unsaid = True
            self._terminal.say(
                f"{title} has ended {self.failures} times in a row ({how}); it is started again "
                f"every {self._patience.longest_delay_seconds:g} s, and nothing more is said of "
                f"it until it stays up; see {self.log}"
            )
            return
        delay = self._patience.delay_seconds(self.failures)
        when = f"in {delay:g} s" if delay else "now"
        self._terminal.say(f"{title} has ended ({how}); it is started again {when}; see {self.log}")


async def _run(call: Callable[[], Awaitable[None]]) -> None:
    await call()
