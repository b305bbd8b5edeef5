"""Whole lives of workloads under one dispatcher."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
from dispatcher_rig import DEPLOYMENT, Rig
from teamhub.engines.fake import FakeEngine
from teamhub.errors import DeposedError, EngineError
from teamhub.model import Address, Kind, Launch, Phase, Status
from teamhub.reasons import Reason
from teamhub.store import Store
from teamhub_shim.protocol import Exit


async def test_a_life(rig: Rig) -> None:
    await rig.start()
    row = await rig.kernel(spec={"working_dir": "", "env": {}})
    await rig.observed(row.id, Phase.STARTING)
    starting = await rig.reaches(row.id, Status.STARTING)
    assert starting.node == "fake"
    assert starting.public_key
    assert "shim_secret_key" in starting.secrets
    rig.machine.listen(row.id, 4100)
    rig.machine.make_ready(row.id, 4100)
    running = await rig.reaches(row.id, Status.RUNNING)
    assert running.address == Address("127.0.0.1", 4100)
    assert running.started_at is not None
    assert running.secrets == {}, "what was handed to the launch is wiped"
    await rig.store.workloads.want_stopped(row.id)
    stopped = await rig.reaches(row.id, Status.STOPPED)
    assert (stopped.reason, stopped.handle) == (Reason.ASKED, None)
    assert stopped.execution_state == "dead"
    await rig.nothing_left()
    assert rig.started() == 1


async def test_a_dispatcher_takes_up_what_was_there_before_it(rig: Rig) -> None:
    rows = [await rig.kernel() for _ in range(3)]
    rig.machine.ready_at_once = True
    await rig.start()
    for row in rows:
        await rig.reaches(row.id, Status.RUNNING)


async def test_an_engine_that_refuses_is_a_failure_with_its_words(rig: Rig) -> None:
    rig.machine.fail("start", EngineError(Reason.ENGINE, "the disk is full"))
    await rig.start()
    row = await rig.kernel()
    failed = await rig.reaches(row.id, Status.FAILED)
    assert (failed.reason, failed.detail) == (Reason.ENGINE, "the disk is full")
    assert (failed.secrets, failed.execution_state) == ({}, "dead")
    assert rig.started() == 0


async def test_starting_again_after_a_failure(rig: Rig) -> None:
    rig.machine.ready_at_once = True
    rig.machine.missing_commands.add(sys.executable)
    await rig.start()
    row = await rig.kernel()
    failed = await rig.reaches(row.id, Status.FAILED)
    assert failed.reason is Reason.COMMAND_NOT_FOUND
    rig.machine.missing_commands.clear()
    again = await rig.store.workloads.start_again(row.id)
    assert again.attempt == 2
    running = await rig.reaches(row.id, Status.RUNNING)
    assert (running.attempt, running.reason, running.detail) == (2, None, "")
    assert running.public_key not in {None, failed.public_key}


@pytest.mark.parametrize(
    ("code", "reason", "status"),
    [
        (0, Reason.EXITED, Status.STOPPED),
        (3, Reason.EXITED, Status.FAILED),
        (-9, Reason.KILLED, Status.FAILED),
    ],
)
async def test_one_that_ends_by_itself_leaves_its_last_lines(
    rig: Rig, code: int, reason: Reason, status: Status
) -> None:
    await rig.start()
    row = await rig.kernel()
    await rig.observed(row.id, Phase.STARTING)
    rig.machine.make_ready(row.id)
    await rig.reaches(row.id, Status.RUNNING)
    rig.machine.write(row.id, "first\nlast\n")
    rig.machine.exit(row.id, code)
    ended = await rig.reaches(row.id, Status.STOPPED, Status.FAILED)
    assert (ended.status, ended.reason, ended.log_tail) == (status, reason, "first\nlast\n")
    await rig.nothing_left()


async def test_the_shim_knows_better_than_an_exit_code(rig: Rig) -> None:
    await rig.start()
    row = await rig.kernel()
    await rig.observed(row.id, Phase.STARTING)
    said = Exit("command-not-found", "there is no /bin/julia", None, "its own last lines")
    rig.machine.write(row.id, f"noise\n{said.to_line()}\n")
    rig.machine.exit(row.id, 1)
    ended = await rig.reaches(row.id, Status.FAILED)
    assert (ended.reason, ended.detail) == (Reason.COMMAND_NOT_FOUND, "there is no /bin/julia")
    assert ended.log_tail == "its own last lines"


async def test_one_that_vanishes(rig: Rig) -> None:
    await rig.start()
    row = await rig.kernel()
    await rig.observed(row.id, Phase.STARTING)
    rig.machine.make_ready(row.id)
    await rig.reaches(row.id, Status.RUNNING)
    rig.machine.vanish(row.id)
    failed = await rig.reaches(row.id, Status.FAILED)
    assert failed.reason is Reason.VANISHED


async def test_a_wish_to_stop_during_the_start(rig: Rig) -> None:
    rig.machine.hold("start")
    await rig.start()
    row = await rig.kernel()
    await rig.reaches(row.id, Status.STARTING)
    await rig.store.workloads.want_stopped(row.id)
    rig.machine.release("start")
    stopped = await rig.reaches(row.id, Status.STOPPED)
    assert stopped.reason is Reason.ASKED
    await rig.nothing_left()


async def test_a_wish_to_stop_before_there_is_room(rig: Rig) -> None:
    rig.machine.hold("nodes")
    await rig.start()
    row = await rig.kernel()
    await rig.store.workloads.want_stopped(row.id)
    rig.machine.release("nodes")
    await rig.reaches(row.id, Status.STOPPED)
    assert rig.started() == 0


async def test_one_that_does_not_obey_is_killed(rig: Rig) -> None:
    await rig.start()
    row = await rig.kernel()
    await rig.observed(row.id, Phase.STARTING)
    rig.machine.disobey(row.id)
    await rig.store.workloads.want_stopped(row.id)
    await rig.reaches(row.id, Status.STOPPED)
    assert rig.machine.killed == [row.id]


async def test_one_that_does_not_fit_waits_and_says_why(rig: Rig) -> None:
    sizes = {"standard": {"memory": "12 GiB"}}
    rig.config = rig.config.model_validate({**rig.config.model_dump(), "sizes": sizes})
    rig.machine.ready_at_once = True
    await rig.start()
    first, second = await rig.kernel(), await rig.kernel("bob")
    await rig.reaches(first.id, Status.RUNNING)

    async def explained() -> bool:
        return bool((await rig.row(second.id)).detail)

    await rig.until(explained)
    waiting = await rig.row(second.id)
    assert waiting.status is Status.QUEUED
    assert waiting.detail == "1 node: no memory free for this size now"
    await rig.store.workloads.want_stopped(first.id)
    running = await rig.reaches(second.id, Status.RUNNING)
    assert running.detail == ""


async def test_a_size_or_an_environment_that_is_no_more(rig: Rig) -> None:
    await rig.start()
    sizeless = await rig.store.workloads.add(
        Kind.KERNEL, "ada", "x", environment="python3", size="huge"
    )
    homeless = await rig.store.workloads.add(
        Kind.KERNEL, "ada", "x", environment="lost", size="standard"
    )
    for row, part in ((sizeless, "no size is called 'huge'"), (homeless, "'lost'")):
        failed = await rig.reaches(row.id, Status.FAILED)
        assert failed.reason is Reason.NO_SUCH_ENVIRONMENT
        assert part in failed.detail


async def test_fifty_at_once_never_more_starting_than_may(
    deployment_dir: Path, open_store: Any, store: Store
) -> None:
    rig = Rig(deployment_dir, open_store, store, concurrent_starts=4)
    rows = [await rig.kernel(f"user{n % 5}") for n in range(50)]
    most = 0

    async def all_run() -> bool:
        nonlocal most
        living = await store.workloads.living()
        starting = [w for w in living if w.status in {Status.PLACED, Status.STARTING}]
        most = max(most, len(starting))
        for (_, workload_id), each in list(rig.machine.workloads.items()):
            if each.observed.phase is Phase.STARTING:
                rig.machine.make_ready(workload_id)
        return all(w.status is Status.RUNNING for w in living)

    await rig.start()
    await rig.until(all_run)
    await rig.close()
    assert 1 <= most <= 4
    assert rig.started() == len(rows)


async def test_starts_of_one_member_that_hang_keep_nobody_else_waiting(
    deployment_dir: Path, open_store: Any, store: Store
) -> None:
    rig = Rig(deployment_dir, open_store, store, concurrent_starts=4)
    hanging = [await rig.kernel("mallory") for _ in range(20)]
    await rig.start()
    await rig.reaches(hanging[0].id, Status.STARTING)
    row = await rig.kernel("ada")
    await rig.observed(row.id, Phase.STARTING)
    await rig.close()
    assert rig.started() == 3, "two of the one, one of the other"


async def test_many_stop_at_once(rig: Rig) -> None:
    rig.machine.ready_at_once = True
    await rig.start()
    rows = [await rig.kernel() for _ in range(12)]
    for row in rows[:6]:
        await rig.reaches(row.id, Status.RUNNING)
    assert await rig.store.workloads.want_all_stopped() == 12
    for row in rows:
        await rig.reaches(row.id, Status.STOPPED)
    await rig.nothing_left()


# What nobody wants


async def orphan(rig: Rig, workload_id: str = "orphan", deployment: str = DEPLOYMENT) -> None:
    engine = FakeEngine(deployment, rig.machine)
    await engine.open()
    await engine.start(
        Launch(deployment, workload_id, Kind.KERNEL, 1, "ada", ("x",), {}, "/", "fake")
    )
    await engine.close()


async def test_what_nobody_wants_is_removed_and_others_are_left_alone(rig: Rig) -> None:
    await orphan(rig)
    ended = await rig.kernel()
    epoch = await rig.store.lease.take("before", 0)
    assert epoch is not None
    await rig.store.workloads.advance(ended, Status.FAILED, epoch)
    await rig.store.lease.release(epoch)
    await orphan(rig, ended.id)
    await orphan(rig, "theirs", "another-deployment")

    async def only_theirs() -> bool:
        return [key[1] for key in rig.machine.workloads] == ["theirs"]

    await rig.start()
    await rig.until(only_theirs)


async def test_remains_that_take_their_time_to_end_keep_nobody_waiting(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = asyncio.Event()
    remove = FakeEngine.remove

    async def slow(engine: FakeEngine, handle: Any) -> None:
        await ends.wait()
        await remove(engine, handle)

    monkeypatch.setattr(FakeEngine, "remove", slow)
    for n in range(20):
        await orphan(rig, f"orphan{n}")
    rig.machine.ready_at_once = True
    await rig.start()
    row = await rig.kernel()
    await rig.reaches(row.id, Status.RUNNING)
    ends.set()

    async def only_the_wanted() -> bool:
        return [key[1] for key in rig.machine.workloads] == [row.id]

    await rig.until(only_the_wanted)


async def test_remains_that_cannot_be_removed_do_not_stop_the_work(rig: Rig) -> None:
    await orphan(rig)
    rig.machine.fail("remove", EngineError(Reason.ENGINE, "busy"), times=1)
    rig.machine.ready_at_once = True
    await rig.start()
    row = await rig.kernel()
    await rig.reaches(row.id, Status.RUNNING)


async def test_an_engine_that_cannot_be_opened_is_tried_again_soon(rig: Rig) -> None:
    made, _ = await rig.dispatcher()
    engine: Any = made._engine
    opened = engine.open
    failures = [EngineError(Reason.ENGINE, "not yet")]

    async def opens() -> None:
        if failures:
            raise failures.pop()
        await opened()

    engine.open = opens
    rig.machine.ready_at_once = True
    task = asyncio.create_task(made.run())
    row = await rig.kernel()
    await rig.reaches(row.id, Status.RUNNING)
    await rig.end(task)


# Being deposed


async def test_a_deposed_dispatcher_writes_nothing_and_waits_for_its_turn(rig: Rig) -> None:
    rig.machine.hold("start")
    made, store = await rig.dispatcher()
    refused = asyncio.Queue[str]()
    advance = store.workloads.advance

    async def watched(workload: Any, *args: Any, **values: Any) -> bool:
        try:
            return await advance(workload, *args, **values)
        except DeposedError:
            refused.put_nowait(workload.id)
            raise

    store.workloads.advance = watched  # type: ignore[method-assign]
    task = asyncio.create_task(made.run())
    rows = [await rig.kernel() for _ in range(3)]
    for row in rows:
        await rig.reaches(row.id, Status.STARTING)
    epoch = await rig.store.lease.take("other", 0)
    assert epoch is not None
    rig.machine.release("start")
    async with asyncio.timeout(10):
        await refused.get()
    for row in rows:
        found = await rig.row(row.id)
        assert (found.status, found.handle) == (Status.STARTING, None)
    # The other goes; the first one finds what it had started itself.
    await rig.store.lease.release(epoch)
    for row in rows:
        await rig.observed(row.id, Phase.STARTING)
        rig.machine.make_ready(row.id)
        await rig.reaches(row.id, Status.RUNNING)
    await rig.end(task)
    assert rig.started() == 3


async def test_one_dispatches_at_a_time(rig: Rig) -> None:
    rig.machine.ready_at_once = True
    first = await rig.start()
    await rig.reaches((await rig.kernel()).id, Status.RUNNING)
    second = await rig.start()
    await rig.reaches((await rig.kernel()).id, Status.RUNNING)
    held = await rig.store.lease.held()
    assert held is not None
    assert held.epoch == 1
    await rig.end(first)
    await rig.reaches((await rig.kernel()).id, Status.RUNNING)
    held = await rig.store.lease.held()
    assert held is not None
    assert held.epoch == 2
    await rig.end(second)
    assert rig.started() == 3


# Draining
