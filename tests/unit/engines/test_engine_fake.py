"""What the fake engine can be told to do; what it shares with the others is in the contract."""

from __future__ import annotations

import asyncio

import pytest
from teamhub.engines.fake import STEPS, FakeEngine, FakeMachine
from teamhub.errors import EngineError
from teamhub.model import Kind, Launch, Phase
from teamhub.reasons import Reason

LAUNCH = Launch("d", "w", Kind.KERNEL, 1, "alice", ("run",), {}, "/", "fake")
FAULT = EngineError(Reason.ENGINE, "the daemon does not answer")


async def opened(machine: FakeMachine) -> FakeEngine:
    engine = FakeEngine("d", machine)
    await engine.open()
    return engine


@pytest.mark.parametrize("step", STEPS)
async def test_every_step_can_fail_and_then_works_again(step: str) -> None:
    machine = FakeMachine()
    engine = await opened(machine)
    handle = await engine.start(LAUNCH)
    calls = {
        "start": lambda: engine.start(LAUNCH),
        "inspect": lambda: engine.inspect(handle),
        "logs": lambda: engine.logs(handle),
        "remove": lambda: engine.remove(handle),
        "owned": engine.owned,
        "nodes": engine.nodes,
    }
    machine.fail(step, FAULT, times=2)
    for _ in range(2):
        with pytest.raises(EngineError, match="does not answer"):
            await calls[step]()
    await calls[step]()


async def test_a_failure_can_be_meant_for_one_workload() -> None:
    machine = FakeMachine()
    engine = await opened(machine)
    machine.fail("start", FAULT, workload_id="another")
    await engine.start(LAUNCH)
    assert machine.running("w")


async def test_a_failed_step_has_done_nothing() -> None:
    machine = FakeMachine()
    engine = await opened(machine)
    machine.fail("start", FAULT)
    with pytest.raises(EngineError):
        await engine.start(LAUNCH)
    assert machine.workloads == {}
    assert machine.calls == []


async def test_a_start_can_be_held() -> None:
    machine = FakeMachine()
    engine = await opened(machine)
    machine.hold("start")
    start = asyncio.create_task(engine.start(LAUNCH))
    await asyncio.sleep(0)  # let it begin
    assert not machine.running("w")
    machine.release("start")
    handle = await start
    assert (await engine.inspect(handle)).phase is Phase.STARTING
    machine.release("start")


async def test_a_workload_does_what_it_is_told() -> None:
    machine = FakeMachine()
    engine = await opened(machine)
    handle = await engine.start(LAUNCH)
    machine.make_ready("w", 1234)
    seen = await engine.inspect(handle)
    assert seen.phase is Phase.READY
    assert seen.address is not None
    assert seen.address.port == 1234
    machine.exit("w", -9, Reason.OUT_OF_MEMORY)
    seen = await engine.inspect(handle)
    assert (seen.phase, seen.exit_code, seen.reason) == (Phase.EXITED, -9, Reason.OUT_OF_MEMORY)
    with pytest.raises(KeyError):
        machine.make_ready("w")  # an ended workload does not come back
    machine.vanish("w")
    assert (await engine.inspect(handle)).phase is Phase.GONE
    with pytest.raises(KeyError):
        machine.vanish("w")


async def test_who_had_to_be_killed_is_known() -> None:
    machine = FakeMachine()
    engine = await opened(machine)
    handle = await engine.start(LAUNCH)
    machine.disobey("w")
    await engine.remove(handle)
    assert machine.killed == ["w"]
    assert machine.calls == [("start", "w"), ("remove", "w")]


async def test_two_engines_on_one_machine_see_the_same() -> None:
    machine = FakeMachine()
    first, second = await opened(machine), await opened(machine)
    events = second.events()
    handle = await first.start(LAUNCH)
    assert await anext(events) == "w"
    assert await second.start(LAUNCH) == handle
    assert [seen.handle for seen in await second.owned()] == [handle]


async def test_alone_everything_is_ready_at_once() -> None:
    engine = FakeEngine("d")
    await engine.open()
    handle = await engine.start(LAUNCH)
    assert (await engine.inspect(handle)).phase is Phase.READY


def test_a_step_that_does_not_exist_is_a_mistake_of_the_test() -> None:
    with pytest.raises(ValueError, match="'begin' is not one of"):
        FakeMachine().fail("begin", FAULT)
    with pytest.raises(ValueError, match="'begin' is not one of"):
        FakeMachine().hold("begin")
