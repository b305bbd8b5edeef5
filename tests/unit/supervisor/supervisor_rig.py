"""What several of the supervisor's tests use."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

from teamhub.deployment import Deployment
from teamhub.supervisor import record
from teamhub.supervisor.terminal import Terminal

DEADLINE_SECONDS = 150


class Lines(Terminal):
    """A terminal that remembers."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def say(self, line: str) -> None:
        self.said.append(line)


class Run:
    """A supervisor of tiny programs in a process of its own."""

    def __init__(self, deployment: Deployment, what: str = "well") -> None:
        self.deployment = deployment
        script = Path(__file__).with_name("tiny_supervisor.py")
        arguments = (str(deployment.data_dir), str(deployment.config.proxy.port), what)
        self.process = subprocess.Popen(
            (sys.executable, str(script), *arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.out: list[str] = []
        self.err: list[str] = []
        self._seen = threading.Condition()
        self._open = 2
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

    def ready(self) -> Run:
        self.until(lambda: any(line.startswith("teamhub is ready") for line in self.out))
        return self

    def signal(self, number: int) -> Run:
        self.process.send_signal(number)
        return self

    def end(self) -> int:
        """Wait until it has ended and all that it said is there; return its exit status."""
        code = self.process.wait(DEADLINE_SECONDS)
        for reader in self._readers:
            reader.join(DEADLINE_SECONDS)
        return code

    def children(self) -> dict[str, int]:
        found = record.read(self.deployment)
        assert found is not None
        return {name: child.pid for name, child in found.children.items() if child.pid is not None}

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
