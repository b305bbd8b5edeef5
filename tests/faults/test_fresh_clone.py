"""The README's two commands, as somebody runs them who has just cloned."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from team import ROOT, wait_until

SET_UP_SECONDS = 600
_MACHINE = re.compile(
    r"(?i:SSL_|PIP_|UV_|NPM_CONFIG_|NODE_EXTRA|REQUESTS_|CURL_|https?_proxy|no_proxy)"
)


def machine_settings() -> dict[str, str]:
    """How this machine reaches its package indexes, as far as its environment says."""
    return {name: value for name, value in os.environ.items() if _MACHINE.match(name)}


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What git has of this checkout, in an empty directory."""
    target = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", f"file://{ROOT}", str(target)], check=True, timeout=60)
    return target


@pytest.fixture
def empty_home() -> Iterator[dict[str, str]]:
    """An environment with nothing of this checkout or user in it but how to reach packages."""
    with tempfile.TemporaryDirectory(prefix="th-home-") as home:
        # Without this checkout's own Python in front: a stranger has only the machine's.
        path = [part for part in os.environ["PATH"].split(":") if str(ROOT) not in part]
        yield {**machine_settings(), "PATH": ":".join(path), "HOME": home, "LANG": "C.UTF-8"}


@pytest.mark.timeout(2 * SET_UP_SECONDS)
def test_the_two_commands_of_the_readme(clone: Path, empty_home: dict[str, str]) -> None:
    readme = (clone / "README.md").read_text()
    blocks = re.findall(r"```sh\n(.*?)```", readme, re.DOTALL)
    assert [block.strip() for block in blocks] == ["./dev up", "./dev test"]

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = clone.parent / "up.log"
    with log.open("w") as output:
        up = subprocess.Popen(
            ["./dev", "up", "--port", str(port)],
            cwd=clone,
            env=empty_home,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:

        def ready() -> bool:
            assert up.poll() is None, log.read_text()
            return "one-time password: " in log.read_text()

        wait_until("the server is ready", ready, SET_UP_SECONDS)
        assert f"teamhub is ready: http://127.0.0.1:{port}\n" in log.read_text()
        assert "administrator: admin\n" in log.read_text()

        second = subprocess.run(
            ["./dev", "up"],
            cwd=clone,
            env=empty_home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert second.returncode == 3
        assert "already running" in second.stderr
        children = psutil.Process(up.pid).children(recursive=True)
    finally:
        up.send_signal(signal.SIGINT)
        assert up.wait(60) == 0, log.read_text()
    wait_until("nothing is left", lambda: not any(child.is_running() for child in children))

    tests = subprocess.run(
        [
            "./dev",
            "test",
            "-q",
            "tests/unit/config",
            "tests/contract",
            "-k",
            "fake or config",
        ],
        cwd=clone,
        env=empty_home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SET_UP_SECONDS,
        check=False,
    )
    assert tests.returncode == 0, tests.stdout + tests.stderr
    assert re.search(r"\d+ passed", tests.stdout)
    shutil.rmtree(clone)
