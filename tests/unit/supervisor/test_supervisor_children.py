"""Processes: started, recognised, and ended with all that they started."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from teamhub.deployment import Deployment
from teamhub.supervisor.children import (
    Child,
    Identity,
    Program,
    end_sessions,
    inherited,
    strays,
)

Script = Callable[..., Program]
DEADLINE_SECONDS = 30


async def line(path: Path, number: int = 1) -> str:
    """The first lines of a log, once they are there."""

    async def look() -> str:
        while not path.exists() or path.read_text().count("\n") < number:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        return path.read_text()

    return await asyncio.wait_for(look(), DEADLINE_SECONDS)


async def ended(child: Child) -> None:
    await asyncio.wait_for(child.ended.wait(), DEADLINE_SECONDS)


def test_children_get_what_is_on_the_list_and_nothing_else() -> None:
    ours = {
        "PATH": "p",
        "HOME": "h",
        "LC_ALL": "C",
        "TEAMHUB_KERNEL_PREFIX": "k",
        "TZ": "UTC",
        "https_proxy": "x",
        "SSL_CERT_FILE": "c",
        "XDG_CACHE_HOME": "y",
        "TMPDIR": "t",
    }
    secret = {"AWS_SECRET_ACCESS_KEY": "s", "SSH_AUTH_SOCK": "a", "PS1": "$", "JPY_API_TOKEN": "t"}
    assert inherited({**ours, **secret}) == ours


async def test_it_is_told_how_a_child_ended_and_what_it_said(
    tmp_path: Path, script: Script
) -> None:
    log = tmp_path / "log"
    first = Child(script("print('old'); raise SystemExit(3)"), log, tmp_path)
    await ended(first)
    assert first.how_it_ended() == "exit code 3"
    second = Child(script("print('new'); import os; os.kill(os.getpid(), 9)"), log, tmp_path)
    await ended(second)
    assert second.how_it_ended() == "killed by SIGKILL"
    assert log.stat().st_mode & 0o077 == 0
    third = Child(script("print(1, flush=True); print(2, flush=True)"), log, tmp_path)
    await ended(third)
    assert third.last_words() == "1\n2"
    assert third.last_words(1) == "2"


async def test_its_last_words_are_found_after_its_log_was_put_aside(
    tmp_path: Path, script: Script
) -> None:
    log = tmp_path / "log"
    log.write_text("of one before it\n" * 100)
    code = "import os; os.mkfifo('go'); print(1, flush=True); open('go').close()"
    child = Child(script(code), log, tmp_path)
    await line(log, 101)
    log.rename(tmp_path / "log.1")
    log.write_text("in the new one\n")
    (tmp_path / "go").write_text("")
    await ended(child)
    assert child.last_words() == "in the new one"


async def test_a_child_has_a_session_and_no_terminal_of_ours(
    tmp_path: Path, script: Script
) -> None:
    log = tmp_path / "log"
    child = Child(
        script("import os, sys; print(os.getsid(0) == os.getpid(), sys.stdin.read() == '')"),
        log,
        tmp_path,
    )
    await ended(child)
    assert log.read_text() == "True True\n"


async def test_the_end_of_a_session_is_the_end_of_all_in_it(tmp_path: Path, script: Script) -> None:
    log = tmp_path / "log"
    # The leader passes nothing on, as a shell that runs a program does not.
    child = Child(
        script(
            "import os, time\n"
            "if os.fork(): time.sleep(600)\n"
            "os.setpgid(0, 0)\n"
            "print(os.getpid(), flush=True)\n"
            "time.sleep(600)\n"
        ),
        log,
        tmp_path,
    )
    grandchild = int(await line(log))
    assert await end_sessions([child.identity], 5) == []
    await ended(child)
    assert not psutil.pid_exists(grandchild) or (
        psutil.Process(grandchild).status() == psutil.STATUS_ZOMBIE
    )
    assert await end_sessions([child.identity], 5) == []


async def test_who_does_not_listen_is_killed(tmp_path: Path, script: Script) -> None:
    log = tmp_path / "log"
    stubborn = Child(
        script(
            "import signal, time\n"
            "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
            "print('deaf', flush=True)\n"
            "time.sleep(600)"
        ),
        log,
        tmp_path,
    )
    await line(log)
    assert await end_sessions([stubborn.identity], 0.2) == []
    await ended(stubborn)
    assert stubborn.how_it_ended() == "killed by SIGKILL"


async def test_a_process_that_only_has_the_id_is_left_alone(tmp_path: Path, script: Script) -> None:
    log = tmp_path / "log"
    child = Child(script("print('here', flush=True); import time; time.sleep(600)"), log, tmp_path)
    await line(log)
    other = Identity(child.pid, child.identity.started_at - 3600)
    assert other.process() is None
    assert other.reused()
    assert await end_sessions([other], 0) == []
    assert child.how_it_ended() == "running"
    assert child.identity.process() is not None
    await end_sessions([child.identity], 0)
    await ended(child)


async def test_what_was_never_noted_is_found_by_its_marks(
    tmp_path: Path, deployment: Deployment, script: Script
) -> None:
    log = tmp_path / "log"
    child = Child(script("print('here', flush=True); import time; time.sleep(600)"), log, tmp_path)
    await line(log)
    assert strays(deployment.data_dir) == [child.identity]
    assert strays(tmp_path / "another") == []
    await end_sessions(strays(deployment.data_dir), 0)
    await ended(child)


async def test_a_command_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        Child(Program("x", "the x", (str(tmp_path / "nowhere"),)), tmp_path / "log", tmp_path)
    assert os.path.exists(tmp_path / "log")  # noqa: PTH110
