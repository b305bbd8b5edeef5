"""A process under test whose every printed line is seen as it comes."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Self

DEADLINE_SECONDS = 150


class Running:
    """A process, and what it has printed so far, line by line.

    Args:
        command: the program and its arguments.
        cwd: where it runs; None: here.
        env: its environment; None: ours.
        new_session: whether it leads a session, so that all of it can be ended at once.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        new_session: bool = False,
    ) -> None:
        self.out: list[str] = []
        self.err: list[str] = []
        self._seen = threading.Condition()
        self._open = 2
        self.process = subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            start_new_session=new_session,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._readers = [
            threading.Thread(target=self._read, args=pair, daemon=True)
            for pair in ((self.process.stdout, self.out), (self.process.stderr, self.err))
        ]
        for reader in self._readers:
            reader.start()

    def until(self, true: Callable[[], bool]) -> None:
        """Wait until something holds, looked at whenever a line comes."""
        with self._seen:
            self._seen.wait_for(lambda: true() or self._over, DEADLINE_SECONDS)
        assert true(), (self.process.poll(), self.out, self.err)

    def pause(self) -> None:
        """Wait a moment, or for its next line: between two looks at what tells nobody."""
        with self._seen:
            self._seen.wait(0.02)

    def ready(self) -> Self:
        """Wait until it says that a team server is ready."""
        self.until(lambda: any(line.startswith("teamhub is ready: ") for line in self.out))
        return self

    def signal(self, number: int) -> Self:
        """Send it a signal."""
        self.process.send_signal(number)
        return self

    def end(self) -> int:
        """Wait until it has ended and all that it printed is here; return its exit status."""
        code = self.process.wait(DEADLINE_SECONDS)
        for reader in self._readers:
            reader.join(DEADLINE_SECONDS)
        return code

    @property
    def _over(self) -> bool:
        """True once both its streams have ended."""
        return self._open == 0

    def _read(self, stream: IO[str], into: list[str]) -> None:
        for line in stream:
            with self._seen:
                into.append(line.rstrip())
                self._seen.notify_all()
        with self._seen:
            self._open -= 1
            self._seen.notify_all()
