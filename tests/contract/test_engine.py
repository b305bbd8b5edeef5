"""What every engine promises: `teamhub.engines.base`, sentence by sentence."""

from __future__ import annotations

import asyncio
import json
import uuid
from dataclasses import replace

import pytest
from engine_rigs import DEADLINE_SECONDS, Program, Rig, deployment, until
from teamhub.engines.base import Engine
from teamhub.errors import EngineError
from teamhub.model import Address, Handle, Phase
from teamhub.reasons import Reason

HERE = Address("127.0.0.1", 4242)


# -- open, close


async def test_opening_twice_does_nothing(rig: Rig, engine: Engine) -> None:
    handle = await rig.started(engine, Program.READY, Phase.READY)
    await engine.open()
    assert (await engine.inspect(handle)).phase is Phase.READY


async def test_closing_leaves_workloads_running_and_twice_does_nothing(rig: Rig) -> None:
    engine = rig.engine()
    await engine.open()
    handle = await rig.started(engine, Program.READY, Phase.READY)
    await engine.close()
    await engine.close()
    assert rig.running(handle.data["workload_id"]) == 1


async def test_an_engine_that_is_not_open_says_so(rig: Rig) -> None:
    engine = rig.engine()
    with pytest.raises(EngineError, match="not open") as caught:
        await engine.start(rig.launch(Program.READY))
    assert caught.value.reason is Reason.ENGINE


async def test_an_engine_can_be_opened_again(rig: Rig, engine: Engine) -> None:
    handle = await rig.started(engine, Program.READY, Phase.READY)
    await engine.close()
    await engine.open()
    events = engine.events()
    rig.make_exit(handle.data["workload_id"])
    await until(engine, handle, lambda seen: seen.phase is Phase.EXITED, events)


# -- nodes


async def test_nodes_have_a_name_and_a_capacity(engine: Engine) -> None:
    nodes = await engine.nodes()
    assert nodes
    for node in nodes:
        assert node.name
        assert node.cpus > 0
        assert node.memory_bytes > 0
        assert node.ready


# -- start


async def test_start_returns_before_it_is_ready(rig: Rig, engine: Engine) -> None:
    launch = rig.launch(Program.QUIET)
    handle = await engine.start(launch)
    seen = await engine.inspect(handle)
    assert (seen.workload_id, seen.attempt) == (launch.workload_id, 1)
    assert seen.phase is Phase.STARTING
    assert seen.handle == handle
    assert seen.address is None


async def test_a_second_start_finds_the_first(rig: Rig, engine: Engine) -> None:
    launch = rig.launch(Program.QUIET)
    first = await engine.start(launch)
    assert await engine.start(launch) == first
    assert rig.running(launch.workload_id) == 1


async def test_concurrent_starts_of_one_workload_are_one(rig: Rig, engine: Engine) -> None:
    launch = rig.launch(Program.QUIET)
    handles = await asyncio.gather(*(engine.start(launch) for _ in range(8)))
    assert all(handle == handles[0] for handle in handles)
    assert rig.running(launch.workload_id) == 1


async def test_a_start_whose_caller_gave_up_is_found_by_the_next(rig: Rig, engine: Engine) -> None:
    launch = rig.launch(Program.QUIET)
    impatient = asyncio.create_task(engine.start(launch))
    await asyncio.sleep(0)  # let it begin
    impatient.cancel()
    await asyncio.gather(impatient, return_exceptions=True)
    handle = await engine.start(launch)
    assert (await engine.inspect(handle)).phase is Phase.STARTING
    assert rig.running(launch.workload_id) == 1


async def test_what_has_ended_is_found_and_not_started_again(rig: Rig, engine: Engine) -> None:
    events = engine.events()
    launch = rig.launch(Program.EXITS_3)
    first = await engine.start(launch)
    await rig.act(launch, Program.EXITS_3)
    await until(engine, first, lambda seen: seen.phase is Phase.EXITED, events)
    assert await engine.start(launch) == first
    assert (await engine.inspect(first)).exit_code == 3


async def test_a_new_attempt_removes_the_old_one(rig: Rig, engine: Engine) -> None:
    old = await rig.started(engine, Program.FAMILY, Phase.READY)
    workload_id = old.data["workload_id"]
    launch = rig.launch(Program.QUIET, workload_id=workload_id, attempt=2)
    new = await engine.start(launch)
    assert new != old
    assert rig.running(workload_id) == 1
    assert (await engine.inspect(old)).phase is Phase.GONE
    seen = await engine.inspect(new)
    assert (seen.phase, seen.attempt) == (Phase.STARTING, 2)


async def test_an_attempt_that_comes_too_late_is_refused(rig: Rig, engine: Engine) -> None:
    launch = rig.launch(Program.QUIET, attempt=2)
    handle = await engine.start(launch)
    with pytest.raises(EngineError, match="too late") as caught:
        await engine.start(replace(launch, attempt=1))
    assert caught.value.reason is Reason.ENGINE
    assert (await engine.inspect(handle)).phase is Phase.STARTING


async def test_a_missing_command_is_a_reason_and_leaves_nothing(rig: Rig, engine: Engine) -> None:
    launch = rig.launch(Program.MISSING)
    with pytest.raises(EngineError) as caught:
        await engine.start(launch)
    assert caught.value.reason is Reason.COMMAND_NOT_FOUND
    assert launch.argv[0] in caught.value.detail
    assert "\n" not in caught.value.detail
    assert await engine.owned() == []
    # And what was wrong can be put right under the same attempt.
    handle = await engine.start(replace(launch, argv=rig.argv(Program.QUIET)))
    assert (await engine.inspect(handle)).phase is Phase.STARTING


async def test_an_empty_command_is_a_missing_command(rig: Rig, engine: Engine) -> None:
    with pytest.raises(EngineError) as caught:
        await engine.start(replace(rig.launch(Program.QUIET), argv=()))
    assert caught.value.reason is Reason.COMMAND_NOT_FOUND


# -- inspect


async def test_ready_with_an_address(rig: Rig, engine: Engine) -> None:
    handle = await rig.started(engine, Program.READY, Phase.READY)
    assert (await engine.inspect(handle)).address == HERE


async def test_an_address_may_be_known_before_it_is_ready(rig: Rig, engine: Engine) -> None:
    events = engine.events()
    launch = rig.launch(Program.LISTENING)
    handle = await engine.start(launch)
    await rig.act(launch, Program.LISTENING)
    seen = await until(engine, handle, lambda seen: seen.address is not None, events)
    assert (seen.phase, seen.address) == (Phase.STARTING, HERE)


async def test_an_exit_has_its_code(rig: Rig, engine: Engine) -> None:
    handle = await rig.started(engine, Program.EXITS_3, Phase.EXITED)
    seen = await engine.inspect(handle)
    assert (seen.exit_code, seen.reason, seen.address) == (3, None, None)


async def test_what_was_removed_is_gone(rig: Rig, engine: Engine) -> None:
    handle = await rig.started(engine, Program.READY, Phase.READY)
    await engine.remove(handle)
    seen = await engine.inspect(handle)
    assert (seen.phase, seen.workload_id) == (Phase.GONE, handle.data["workload_id"])


async def test_a_handle_survives_json(rig: Rig, engine: Engine) -> None:
    handle = await rig.started(engine, Program.READY, Phase.READY)
    kept = Handle.from_json(json.loads(json.dumps(handle.to_json())))
    assert kept == handle
    assert (await engine.inspect(kept)).phase is Phase.READY


async def test_a_foreign_handle_is_an_error(engine: Engine) -> None:
    foreign = Handle("another", 7, {"container": "x"})
    for call in (engine.inspect, engine.logs, engine.remove):
        with pytest.raises(EngineError) as caught:
            await call(foreign)
        assert caught.value.reason is Reason.ENGINE


# -- logs


async def test_logs_are_kept_after_the_end_until_removal(rig: Rig, engine: Engine) -> None:
    handle = await rig.started(engine, Program.EXITS_3, Phase.EXITED)
    assert await engine.logs(handle) == "before\n\ufffd\nafter\n"
    assert await engine.logs(handle, tail=1) == "after\n"
    assert await engine.logs(handle, tail=0) == ""
    await engine.remove(handle)
    assert await engine.logs(handle) == ""


# -- remove


async def test_removing_twice_and_at_once_succeeds(rig: Rig, engine: Engine) -> None:
    handle = await rig.started(engine, Program.READY, Phase.READY)
    await asyncio.gather(*(engine.remove(handle) for _ in range(3)))
    await engine.remove(handle)
    assert rig.running(handle.data["workload_id"]) == 0


async def test_removal_ends_everything_that_it_started(rig: Rig, engine: Engine) -> None:
    handle = await rig.started(engine, Program.FAMILY, Phase.READY)
    await engine.remove(handle)
    assert rig.running(handle.data["workload_id"]) == 0
    assert await engine.owned() == []


async def test_removal_ends_what_an_ended_one_has_left(rig: Rig, engine: Engine) -> None:
    handle = await rig.started(engine, Program.ORPHANS, Phase.EXITED)
    await engine.remove(handle)
    assert rig.running(handle.data["workload_id"]) == 0


async def test_what_does_not_end_when_asked_is_killed(rig: Rig) -> None:
    rig.stop_timeout_seconds = 0.3
    engine = rig.engine()
    await engine.open()
    handle = await rig.started(engine, Program.STUBBORN, Phase.READY)
    await engine.remove(handle)
    assert rig.running(handle.data["workload_id"]) == 0
    await engine.close()


async def test_removing_an_old_attempt_leaves_the_new_one(rig: Rig, engine: Engine) -> None:
    launch = rig.launch(Program.QUIET)
    old = await engine.start(launch)
    new = await engine.start(replace(launch, attempt=2))
    await engine.remove(old)
    assert (await engine.inspect(new)).phase is Phase.STARTING
    assert rig.running(launch.workload_id) == 1


async def test_a_removal_whose_caller_gave_up_goes_on(rig: Rig, engine: Engine) -> None:
    handle = await rig.started(engine, Program.READY, Phase.READY)
    impatient = asyncio.create_task(engine.remove(handle))
    await asyncio.sleep(0)  # let it begin
    impatient.cancel()
    await asyncio.gather(impatient, return_exceptions=True)
    await engine.remove(handle)
    assert (await engine.inspect(handle)).phase is Phase.GONE


# -- owned


async def test_owned_has_all_with_their_handles(rig: Rig, engine: Engine) -> None:
    running = await rig.started(engine, Program.READY, Phase.READY)
    ended = await rig.started(engine, Program.EXITS_3, Phase.EXITED)
    removed = await rig.started(engine, Program.QUIET, Phase.STARTING)
    await engine.remove(removed)
    found = {seen.workload_id: seen for seen in await engine.owned()}
    assert {seen.phase for seen in found.values()} == {Phase.READY, Phase.EXITED}
    for handle in (running, ended):
        seen = found[handle.data["workload_id"]]
        assert seen.handle == handle
        assert seen == await engine.inspect(handle)


async def test_two_deployments_never_meet(rig: Rig, engine: Engine) -> None:
    other_id = deployment()
    other = rig.engine(other_deployment=other_id)
    await other.open()
    ours = await rig.started(engine, Program.QUIET, Phase.STARTING)
    theirs_id = str(uuid.uuid4())
    launch = replace(rig.launch(Program.QUIET, workload_id=theirs_id), deployment=other_id)
    theirs = await other.start(launch)
    assert [seen.handle for seen in await engine.owned()] == [ours]
    assert [seen.handle for seen in await other.owned()] == [theirs]
    await other.remove(theirs)
    await other.close()
    assert (await engine.inspect(ours)).phase is Phase.STARTING


# -- adoption


async def test_another_engine_adopts_what_the_first_has_started(rig: Rig) -> None:
    first = rig.engine()
    await first.open()
    launch = rig.launch(Program.READY)
    events = first.events()
    handle = await first.start(launch)
    await rig.act(launch, Program.READY)
    await until(first, handle, lambda seen: seen.phase is Phase.READY, events)
    await first.close()

    second = rig.engine()
    await second.open()
    assert [seen.handle for seen in await second.owned()] == [handle]
    assert await second.start(launch) == handle
    seen = await second.inspect(handle)
    assert (seen.phase, seen.address) == (Phase.READY, HERE)
    # Its end is an event for the second, too.
    events = second.events()
    rig.make_exit(launch.workload_id)
    await until(second, handle, lambda seen: seen.phase is Phase.EXITED, events)
    await second.remove(handle)
    assert await second.owned() == []
    await second.close()


async def test_another_engine_ends_what_the_first_has_started(rig: Rig) -> None:
    first = rig.engine()
    await first.open()
    handle = await rig.started(first, Program.FAMILY, Phase.READY)
    await first.close()
    second = rig.engine()
    await second.open()
    await second.remove(handle)
    assert rig.running(handle.data["workload_id"]) == 0
    await second.close()


async def test_an_exit_seen_by_the_first_is_known_to_the_second(rig: Rig) -> None:
    first = rig.engine()
    await first.open()
    handle = await rig.started(first, Program.EXITS_3, Phase.EXITED)
    await first.close()
    second = rig.engine()
    await second.open()
    assert (await second.inspect(handle)).exit_code == 3
    await second.close()


# -- events


async def test_every_listener_hears_of_an_end(rig: Rig, engine: Engine) -> None:
    handle = await rig.started(engine, Program.READY, Phase.READY)
    listeners = [engine.events() for _ in range(3)]
    rig.make_exit(handle.data["workload_id"])
    async with asyncio.timeout(DEADLINE_SECONDS):
        heard = [await anext(listener) for listener in listeners]
    assert heard == [handle.data["workload_id"]] * 3


async def test_a_start_and_a_removal_are_events(rig: Rig, engine: Engine) -> None:
    listener = engine.events()
    handle = await engine.start(rig.launch(Program.QUIET))
    async with asyncio.timeout(DEADLINE_SECONDS):
        assert await anext(listener) == handle.data["workload_id"]
    await engine.remove(handle)
    async with asyncio.timeout(DEADLINE_SECONDS):
        assert await anext(listener) == handle.data["workload_id"]


# -- many at once


async def test_fifty_starts_at_once(rig: Rig, engine: Engine) -> None:
    launches = [rig.launch(Program.QUIET) for _ in range(50)]
    handles = await asyncio.gather(*(engine.start(launch) for launch in launches))
    seen = await engine.owned()
    assert {each.workload_id for each in seen} == {launch.workload_id for launch in launches}
    assert all(each.phase is Phase.STARTING for each in seen)
    await asyncio.gather(*(engine.remove(handle) for handle in handles))
    assert await engine.owned() == []
