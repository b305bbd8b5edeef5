"""What several of the supervisor's tests use."""

from __future__ import annotations

import sys
from pathlib import Path

from running import Running
from teamhub.deployment import Deployment
from teamhub.supervisor import record
from teamhub.supervisor.terminal import Terminal


class Lines(Terminal):
    """A terminal that remembers."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def say(self, line: str) -> None:
        self.said.append(line)


class Run(Running):
    """A supervisor of tiny programs in a process of its own."""

    def __init__(self, deployment: Deployment, what: str = "well") -> None:
        self.deployment = deployment
        script = Path(__file__).with_name("tiny_supervisor.py")
        arguments = (str(deployment.data_dir), str(deployment.config.proxy.port), what)
        super().__init__((sys.executable, str(script), *arguments))

    def children(self) -> dict[str, int]:
        found = record.read(self.deployment)
        assert found is not None
        return {name: child.pid for name, child in found.children.items() if child.pid is not None}
