"""What the tests of the supervisor share: a deployment of their own, and nothing left over."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from supervisor_rig import Lines
from teamhub.config import Config, ProxySettings
from teamhub.deployment import Deployment
from teamhub.supervisor.children import CHILD_VARIABLE, Program


@pytest.fixture
def lines() -> Lines:
    return Lines()


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def deployment(tmp_path: Path, port: int) -> Iterator[Deployment]:
    """One that is not running; whatever a test leaves running of it is killed and told of."""
    data_dir = tmp_path / "data"
    yield Deployment(Config(data_dir=data_dir, proxy=ProxySettings(port=port)))
    left = []
    for process in psutil.process_iter():
        try:
            environment = process.environ()
            if process.pid != os.getpid() and environment.get("TEAMHUB_DATA_DIR") == str(data_dir):
                left.append(" ".join(process.cmdline()))
                process.send_signal(signal.SIGKILL)
        except psutil.Error:
            continue
    assert not left, f"left running: {left}"


@pytest.fixture
def script(deployment: Deployment) -> Callable[..., Program]:
    """A program that runs a few lines of Python."""

    def make(source: str, name: str = "tiny") -> Program:
        env = {"PATH": os.environ["PATH"], "TEAMHUB_DATA_DIR": str(deployment.data_dir)}
        return Program(name, f"the {name}", (sys.executable, "-Sc", source), env)

    return make


assert CHILD_VARIABLE not in os.environ
