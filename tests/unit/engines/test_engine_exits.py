"""Being told of ends: by pidfd, and by a thread where there is none."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable

import pytest
from teamhub.engines import processes
from teamhub.engines.exits import Exits

DEADLINE_SECONDS = 10.0
Ended = tuple[int, str, int | None]


@pytest.fixture(params=["pidfd", "thread"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "thread":
        monkeypatch.delattr(os, "pidfd_open")
    return str(request.param)


def child(script: str = "read x; exit 4") -> tuple[subprocess.Popen[bytes], str]:
    process = subprocess.Popen(["/bin/sh", "-c", script], stdin=subprocess.PIPE)
    found = processes.find(process.pid)
    assert found is not None
    process.returncode = 0  # Exits reaps it, not Popen
    return process, found.started


def end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()


def recorder() -> tuple[Callable[[int, str, int | None], None], asyncio.Queue[Ended]]:
    seen: asyncio.Queue[Ended] = asyncio.Queue()
    return lambda *what: seen.put_nowait(what), seen


async def test_an_end_is_told_once_with_its_code() -> None:
    ended, seen = recorder()
    exits = Exits(ended)
    process, started = child()
    exits.watch(process.pid, started)
    exits.watch(process.pid, started)
    end(process)
    async with asyncio.timeout(DEADLINE_SECONDS):
        assert await seen.get() == (process.pid, started, 4)
    assert await exits.wait(process.pid, started, DEADLINE_SECONDS)
    exits.close()
    # The second was asked for after the end: it is an end of its own, without a code.
    assert seen.get_nowait() == (process.pid, started, None)
    assert seen.empty()


async def test_waiting_gives_up_in_time() -> None:
    exits = Exits(recorder()[0])
    process, started = child()
    assert not await exits.wait(process.pid, started, 0.01)
    end(process)
    assert await exits.wait(process.pid, started, DEADLINE_SECONDS)
    exits.close()


async def test_another_process_with_that_id_counts_as_ended() -> None:
    exits = Exits(recorder()[0])
    process, started = child()
    assert await exits.wait(process.pid, "1@another-boot", DEADLINE_SECONDS)
    assert processes.runs(process.pid, started)
    end(process)
    assert await exits.wait(process.pid, started, DEADLINE_SECONDS)
    exits.close()


async def test_after_closing_nothing_is_told() -> None:
    ended, seen = recorder()
    exits = Exits(ended)
    process, started = child()
    exits.watch(process.pid, started)
    exits.close()
    exits.close()
    end(process)
    other = Exits(ended)
    assert await other.wait(process.pid, started, DEADLINE_SECONDS)
    assert seen.qsize() == 1
    other.close()
