"""A crash at each step of a life ends as if there had been none.

The dispatcher is ended abruptly at its n-th call that changes something, once before the call
and once after it, for every n, and in one life at each call of the engine or the store; then
another one takes over on the same store and machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from dispatcher_rig import Crash, OpenStore, Rig
from teamhub.errors import EngineError
from teamhub.model import Phase, Status, Workload
from teamhub.reasons import Reason
from teamhub.store import Store

Life = Callable[[Rig], Awaitable[tuple[Workload, int]]]
"""What a member does; returns the row at the end, and how many processes there should have been."""


async def stopped(rig: Rig) -> tuple[Workload, int]:
    """It starts, runs, and is asked to stop."""
    row = await rig.kernel()
    await rig.observed(row.id, Phase.STARTING)
    rig.machine.make_ready(row.id)
    await rig.reaches(row.id, Status.RUNNING)
    await rig.store.workloads.want_stopped(row.id)
    return await rig.reaches(row.id, Status.STOPPED), 1


async def stopped_while_starting(rig: Rig) -> tuple[Workload, int]:
    """It is asked to stop while the engine is starting it."""
    row = await rig.kernel()
    await rig.observed(row.id, Phase.STARTING)
    await rig.store.workloads.want_stopped(row.id)
    return await rig.reaches(row.id, Status.STOPPED), 1


async def failed_and_started_again(rig: Rig) -> tuple[Workload, int]:
    """It runs, is killed, is started again under the same id, and ends by itself."""
    row = await rig.kernel()
    for code, status in ((-9, Status.FAILED), (0, Status.STOPPED)):
        await rig.observed(row.id, Phase.STARTING)
        rig.machine.write(row.id, f"last line of {code}\n")
        rig.machine.make_ready(row.id)
        await rig.reaches(row.id, Status.RUNNING)
        rig.machine.exit(row.id, code)
        row = await rig.reaches(row.id, status)
        assert row.log_tail == f"last line of {code}\n"
        if status is Status.FAILED:
            assert row.reason is Reason.KILLED
            await rig.store.workloads.start_again(row.id)
    assert row.attempt == 2
    return row, 2


async def refused(rig: Rig) -> tuple[Workload, int]:
    """The engine refuses to start it."""
    error = EngineError(Reason.ENGINE, "the disk is full")
    rig.machine.fail("start", error, times=10**6)
    row = await rig.kernel()
    row = await rig.reaches(row.id, Status.FAILED)
    assert (row.reason, row.detail) == (Reason.ENGINE, "the disk is full")
    return row, 0


class Deployments:
    """A fresh machine and fresh rows for every crash, on one database.

    The stores are used again: to open one costs more than a life.
    """

    def __init__(self, folder: Path, open_store: OpenStore) -> None:
        self._folder = folder
        self._open_store = open_store
        self._stores: list[Store] = []

    async def lived(self, life: Life, crash: Crash) -> bool:
        """Live a life with a crash; return whether there was one."""
        free = list(self._stores)

        async def open_store() -> Store:
            if not free:
                self._stores.append(await self._open_store())
                return self._stores[-1]
            return free.pop()

        rig = Rig(self._folder, open_store, await open_store())
        try:
            return await lived(rig, life, crash)
        finally:
            await rig.close()
            crash.undo()
            await rig.bury_lease()


async def lived(rig: Rig, life: Life, crash: Crash) -> bool:
    task = await rig.start(crash)
    member = asyncio.create_task(life(rig))
    crashing = asyncio.create_task(crash.crashed.wait())
    await asyncio.wait({member, crashing}, return_when=asyncio.FIRST_COMPLETED)
    if not crash.crashed.is_set():
        # Its last acts may still be to come; they are crash points, too.
        nothing_left = asyncio.create_task(rig.nothing_left())
        await asyncio.wait({crashing, nothing_left}, return_when=asyncio.FIRST_COMPLETED)
        nothing_left.cancel()
    crashing.cancel()
    if crash.crashed.is_set():
        await rig.end(task)
        await rig.bury_lease()
        await rig.start()
    row, processes = await member
    assert row.status.ended
    assert (row.handle, row.secrets, row.execution_state) == (None, {}, "dead")
    await rig.nothing_left()
    assert await rig.row(row.id) == row, "nothing happens to it any more"
    assert rig.started() == processes, "nothing is started twice"
    return crash.crashed.is_set()


@pytest.fixture
def deployments(deployment_dir: Path, open_store: OpenStore) -> Deployments:
    return Deployments(deployment_dir, open_store)


@pytest.mark.parametrize(
    ("life", "before"),
    [
        (stopped, False),  # before each: see test_a_crash_at_every_call
        (stopped_while_starting, True),
        (stopped_while_starting, False),
        (failed_and_started_again, True),
        (failed_and_started_again, False),
        (refused, True),
        (refused, False),
    ],
)
async def test_a_crash_at_every_effect(deployments: Deployments, life: Life, before: bool) -> None:
    at = 1
    while await deployments.lived(life, Crash(at, before=before, effects_only=True)):
        at += 1
    assert at > 3, "there were calls to crash at"


async def test_a_crash_at_every_call(deployments: Deployments) -> None:
    at = 1
    while await deployments.lived(stopped, Crash(at, before=True, effects_only=False)):
        at += 1
    assert at > 15, "there were calls to crash at"
