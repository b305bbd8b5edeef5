"""Starting again what ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from supervisor_rig import Lines
from teamhub.supervisor.children import Program, end_sessions
from teamhub.supervisor.keeper import GIVEN_UP_SAYING, Keeper, Patience

Script = Callable[..., Program]
QUICK = Patience(steady_seconds=600, first_delay_seconds=0.001, longest_delay_seconds=0.002)
SLEEP = "import time; time.sleep(600)"


class Kept:
    """A keeper at work, and a way to wait for what it does."""

    def __init__(self, keeper: Keeper, changes: asyncio.Queue[None]) -> None:
        self.keeper = keeper
        self._changes = changes

    async def until(self, true: Callable[[Keeper], bool]) -> None:
        async with asyncio.timeout(30):
            while not true(self.keeper):
                await self._changes.get()


@asynccontextmanager
async def kept(
    program: Program, log: Path, lines: Lines, patience: Patience = QUICK, **hooks: object
) -> AsyncIterator[Kept]:
    changes: asyncio.Queue[None] = asyncio.Queue()
    keeper = Keeper(
        program,
        log,
        log.parent,
        lines,
        lambda: changes.put_nowait(None),
        patience=patience,
        **hooks,  # type: ignore[arg-type]
    )
    task = asyncio.create_task(keeper.run())
    try:
        yield Kept(keeper, changes)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        if keeper.leader is not None:
            await end_sessions([keeper.leader], 0)


def test_the_first_start_again_is_at_once_and_the_wait_is_bounded() -> None:
    delays = [Patience().delay_seconds(failures) for failures in range(1, 12)]
    assert delays[:4] == [0, 0.5, 1, 2]
    assert delays[-1] == 10
    assert delays == sorted(delays)


async def test_what_is_killed_is_started_again_and_that_is_said(
    tmp_path: Path, script: Script, lines: Lines
) -> None:
    log = tmp_path / "log"
    calls: list[str] = []

    async def between() -> None:
        calls.append("between")

    again = asyncio.Event()

    async def started_again() -> None:
        calls.append("again")
        again.set()

    hooks = {"between": between, "started_again": started_again}
    async with kept(script(SLEEP), log, lines, **hooks) as one:
        await one.until(lambda keeper: keeper.child is not None)
        first = one.keeper.record.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await one.until(lambda keeper: keeper.record.pid not in {None, first})
        await asyncio.wait_for(again.wait(), 30)
        assert one.keeper.record.restarts == 1
        assert one.keeper.record.last_exit == "killed by SIGKILL"
    assert calls == ["between", "again"]
    assert lines.said == [
        f"the tiny has ended (killed by SIGKILL); it is started again now; see {log}"
    ]


async def test_one_that_never_comes_up_is_tried_on_and_said_so_once(
    tmp_path: Path, script: Script, lines: Lines
) -> None:
    log = tmp_path / "log"
    broken = script("print('no'); raise SystemExit(1)")
    async with kept(broken, log, lines) as one:
        await one.until(lambda keeper: keeper.failures >= GIVEN_UP_SAYING + 3)
        assert one.keeper.last_words == "no"
    assert len(lines.said) == GIVEN_UP_SAYING
    assert "10 times in a row (exit code 1)" in lines.said[-1]


async def test_who_has_lived_well_starts_afresh(
    tmp_path: Path, script: Script, lines: Lines
) -> None:
    easy = Patience(steady_seconds=0, longest_delay_seconds=0.001)
    async with kept(script("pass"), tmp_path / "log", lines, easy) as one:
        await one.until(lambda keeper: keeper.record.restarts >= 3)
        assert one.keeper.failures == 1


async def test_a_command_that_is_gone_counts_as_an_end(tmp_path: Path, lines: Lines) -> None:
    gone = Program("tiny", "the tiny", (str(tmp_path / "gone"),))
    async with kept(gone, tmp_path / "log", lines) as one:
        await one.until(lambda keeper: keeper.failures >= 2)
        assert "No such file" in one.keeper.last_words


async def test_what_a_child_leaves_in_its_session_does_not_stand_in_the_way(
    tmp_path: Path, script: Script, lines: Lines, port: int
) -> None:
    source = (
        "import os, socket, time\n"
        f"s = socket.create_server(('127.0.0.1', {port}))\n"
        "print('mine', flush=True)\n"
        "if os.fork() == 0: time.sleep(600)\n"
        "raise SystemExit(1)\n"
    )
    log = tmp_path / "log"
    async with kept(script(source), log, lines) as one:
        await one.until(lambda keeper: keeper.failures >= 2)
    assert log.read_text().splitlines()[:2] == ["mine", "mine"]


@pytest.mark.parametrize("failures", [0, 1])
def test_no_failure_or_one_is_no_wait(failures: int) -> None:
    assert Patience().delay_seconds(failures) == 0


async def test_another_program_in_its_place_is_no_failure(
    tmp_path: Path, script: Script, lines: Lines
) -> None:
    calls: list[str] = []

    async def between() -> None:
        calls.append("between")

    log = tmp_path / "log"
    async with kept(script(SLEEP), log, lines, between=between) as one:
        await one.until(lambda keeper: keeper.record.pid is not None)
        first = one.keeper.record.pid
        async with asyncio.timeout(30):
            await one.keeper.replace(script(f"print('second', flush=True); {SLEEP}"), 10)
        await one.until(lambda keeper: keeper.record.pid not in {None, first})
        assert (one.keeper.record.restarts, one.keeper.record.last_exit) == (0, "")
        assert one.keeper.failures == 0
    assert lines.said == []
    assert calls == ["between"]


async def test_another_program_does_not_wait_for_the_last_ones_turn(
    tmp_path: Path, script: Script, lines: Lines
) -> None:
    slow = Patience(steady_seconds=600, first_delay_seconds=600, longest_delay_seconds=600)
    async with kept(script("raise SystemExit(3)"), tmp_path / "log", lines, slow) as one:
        await one.until(lambda keeper: keeper.failures == 2)
        async with asyncio.timeout(30):
            await one.keeper.replace(script(SLEEP), 10)
        await one.until(lambda keeper: keeper.record.pid is not None)
        assert one.keeper.failures == 0
