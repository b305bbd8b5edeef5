"""Workloads: what the rows promise, whoever writes."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from teamhub.errors import DeposedError, NotFoundError, RefusedError
from teamhub.model import Address, Deaths, Desired, Handle, Kind, Status, Workload
from teamhub.reasons import Reason
from teamhub.store import Store

HANDLE = Handle("fake", 1, {"number": 7})


async def kernel(store: Store, owner: str = "ada", **more: Any) -> Workload:
    return await store.workloads.add(
        Kind.KERNEL, owner, "python3", environment="python3", size="standard", **more
    )


async def moved(store: Store, workload: Workload, status: Status, **values: Any) -> Workload:
    epoch = await store.lease.take("test", 0)
    assert epoch is not None
    assert await store.workloads.advance(workload, status, epoch, **values)
    found = await store.workloads.get(workload.id)
    assert found is not None
    return found


async def test_a_new_one_is_queued_with_what_was_said_of_it(store: Store) -> None:
    before = datetime.now(UTC)
    spec = {"working_dir": "/home/ada", "env": {"A": "é"}}
    added = await kernel(store, spec=spec, secrets={"token": "s"})
    assert (added.status, added.desired, added.attempt) == (Status.QUEUED, Desired.RUNNING, 1)
    assert (added.owner, added.kind, added.name) == ("ada", Kind.KERNEL, "python3")
    assert (added.environment, added.size) == ("python3", "standard")
    assert added.spec == spec
    assert added.secrets == {"token": "s"}
    assert added.execution_state == "starting"
    assert before <= added.created_at <= datetime.now(UTC)
    assert str(uuid.UUID(added.id)) == added.id
    assert await store.workloads.get(added.id) == added


async def test_an_id_is_taken_once(store: Store) -> None:
    first = await kernel(store, workload_id=str(uuid.uuid4()))
    with pytest.raises(RefusedError, match="exists already"):
        await kernel(store, workload_id=first.id)


async def test_none_of_that_id(store: Store) -> None:
    assert await store.workloads.get("nobody") is None


async def test_the_limit_counts_the_living_of_one_kind_and_owner(store: Store) -> None:
    first = await kernel(store, limit=2)
    await store.workloads.add(Kind.SERVER, "ada", "")
    await kernel(store, "bob")
    await kernel(store, limit=2)
    with pytest.raises(RefusedError, match="you have 2 kernels running, which is the limit"):
        await kernel(store, limit=2)
    await moved(store, first, Status.FAILED)
    await kernel(store, limit=2)


async def test_the_limit_holds_against_two_processes(open_store: Any) -> None:
    stores = [await open_store(), await open_store()]
    asked = [kernel(stores[n % 2], limit=3) for n in range(10)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(answer, Workload) for answer in answers) == 3
    assert all(isinstance(answer, (Workload, RefusedError)) for answer in answers)


async def test_one_living_server_per_owner_and_name(open_store: Any) -> None:
    stores = [await open_store(), await open_store()]
    asked = [stores[n % 2].workloads.add(Kind.SERVER, "ada", "lab") for n in range(6)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    made = [answer for answer in answers if isinstance(answer, Workload)]
    assert len(made) == 1
    assert all(isinstance(answer, (Workload, RefusedError)) for answer in answers)
    store = stores[0]
    await store.workloads.add(Kind.SERVER, "bob", "lab")
    await store.workloads.add(Kind.SERVER, "ada", "other")
    assert (await store.workloads.server("ada", "lab")) == made[0]
    ended = await moved(store, made[0], Status.STOPPED)
    assert await store.workloads.server("ada", "lab") is None
    second = await store.workloads.add(Kind.SERVER, "ada", "lab")
    assert second.id != ended.id


async def test_starting_an_old_server_again_beside_its_successor_is_refused(store: Store) -> None:
    old = await store.workloads.add(Kind.SERVER, "ada", "")
    await moved(store, old, Status.STOPPED)
    await store.workloads.add(Kind.SERVER, "ada", "")
    with pytest.raises(RefusedError):
        await store.workloads.start_again(old.id)


async def test_lists(store: Store) -> None:
    one = await kernel(store)
    two = await kernel(store, "bob")
    server = await store.workloads.add(Kind.SERVER, "ada", "")
    one = await moved(store, one, Status.FAILED)
    ids = lambda rows: [row.id for row in rows]  # noqa: E731
    assert ids(await store.workloads.living()) == [two.id, server.id]
    assert ids(await store.workloads.living(Kind.KERNEL)) == [two.id]
    assert ids(await store.workloads.living(owner="ada")) == [server.id]
    assert ids(await store.workloads.all()) == [one.id, two.id, server.id]
    assert ids(await store.workloads.all(Kind.KERNEL, "ada")) == [one.id]
    assert ids(await store.workloads.changed_since(one.changed_at)) == [one.id]
    later = one.changed_at + timedelta(microseconds=1)
    assert ids(await store.workloads.changed_since(later)) == []
    assert ids(await store.workloads.changed_since(one.created_at, Kind.SERVER)) == [server.id]


async def test_wanting_it_stopped(store: Store) -> None:
    row = await kernel(store)
    await store.workloads.want_stopped(row.id, Reason.CULLED)
    first = await store.workloads.get(row.id)
    assert first is not None
    assert (first.desired, first.reason) == (Desired.STOPPED, Reason.CULLED)
    assert first.status is Status.QUEUED
    await store.workloads.want_stopped(row.id, Reason.ASKED)
    assert await store.workloads.get(row.id) == first
    await store.workloads.want_stopped("nobody")


async def test_dismissing_one_that_failed_keeps_why(store: Store) -> None:
    row = await kernel(store)
    failed = await moved(store, row, Status.FAILED, reason=Reason.KILLED, detail="by 9")
    await store.workloads.want_stopped(row.id)
    found = await store.workloads.get(row.id)
    assert found is not None
    assert (found.status, found.reason, found.detail) == (Status.FAILED, Reason.KILLED, "by 9")
    assert found.desired is Desired.STOPPED
    again = await store.workloads.start_again(failed.id)
    assert (again.status, again.desired) == (Status.QUEUED, Desired.RUNNING)


async def test_wanting_everything_stopped_counts_what_lives(store: Store) -> None:
    rows = [await kernel(store) for _ in range(3)]
    await moved(store, rows[0], Status.STOPPED)
    await store.workloads.want_stopped(rows[1].id, Reason.CULLED)
    assert await store.workloads.want_all_stopped() == 2
    assert [w.desired for w in await store.workloads.living()] == [Desired.STOPPED] * 2
    assert [w.reason for w in await store.workloads.living()] == [Reason.CULLED, Reason.ASKED]


async def test_starting_again_is_a_new_attempt_with_nothing_of_the_old(store: Store) -> None:
    row = await kernel(store, spec={"env": {"A": "1"}})
    ended = await moved(
        store,
        row,
        Status.FAILED,
        handle=HANDLE,
        address=Address("127.0.0.1", 4000),
        reason=Reason.EXITED,
        detail="it ended",
        log_tail="boom",
        node="fake",
        public_key="k" * 40,
        started_at=datetime.now(UTC),
        execution_state="dead",
    )
    assert (ended.handle, ended.address) == (HANDLE, Address("127.0.0.1", 4000))
    again = await store.workloads.start_again(row.id)
    assert (again.status, again.desired, again.attempt) == (Status.QUEUED, Desired.RUNNING, 2)
    assert (again.reason, again.detail, again.log_tail) == (None, "", "")
    assert (again.node, again.handle, again.address, again.public_key) == (None,) * 4
    assert (again.started_at, again.execution_state) == (None, "starting")
    assert (again.id, again.spec, again.created_at) == (row.id, row.spec, row.created_at)
    assert await store.workloads.start_again(row.id) == again
    with pytest.raises(NotFoundError):
        await store.workloads.start_again("nobody")


async def test_advance_takes_what_the_model_has(store: Store) -> None:
    row = await kernel(store)
    row = await moved(store, row, Status.STARTING, handle=HANDLE, address=Address("::1", 5))
    assert (row.status, row.handle, row.address) == (Status.STARTING, HANDLE, Address("::1", 5))
    row = await moved(store, row, Status.RUNNING, handle=None, address=None)
    assert (row.handle, row.address) == (None, None)


async def test_advance_is_conditional_on_the_state_it_was_decided_from(store: Store) -> None:
    row = await kernel(store)
    epoch = await store.lease.take("test", 10)
    assert epoch is not None
    assert await store.workloads.advance(row, Status.PLACED, epoch, node="a")
    assert not await store.workloads.advance(row, Status.PLACED, epoch, node="b")
    placed = await store.workloads.get(row.id)
    assert placed is not None
    assert placed.node == "a"
    assert await store.workloads.advance(placed, Status.FAILED, epoch)
    failed = await store.workloads.get(row.id)
    assert failed is not None
    await store.workloads.start_again(row.id)
    assert not await store.workloads.advance(row, Status.PLACED, epoch), "an older attempt's"
    assert not await store.workloads.advance(failed, Status.STOPPED, epoch)


async def test_a_deposed_dispatcher_writes_nothing(open_store: Any) -> None:
    mine, theirs = await open_store(), await open_store()
    row = await kernel(mine)
    old = await mine.lease.take("old", 60)
    new = await theirs.lease.take("new", 0)
    with pytest.raises(DeposedError):
        await mine.workloads.advance(row, Status.PLACED, old, node="a")
    assert await theirs.workloads.get(row.id) == row
    assert await theirs.workloads.advance(row, Status.PLACED, new, node="b")


async def test_activity_wakes_nobody_and_is_not_noted_of_the_dead(store: Store) -> None:
    row = await kernel(store)
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    with store.subscribe() as wakes:
        await store.workloads.report_activity(row.id, "busy", moment)
        assert not await wakes.wait(0.01)
    found = await store.workloads.get(row.id)
    assert found is not None
    assert (found.execution_state, found.last_activity_at) == ("busy", moment)
    assert found.changed_at == row.changed_at
    assert found.deaths is None
    deaths = Deaths(2, "killed by SIGKILL", moment)
    await store.workloads.report_activity(row.id, "busy", moment, deaths)
    found = await store.workloads.get(row.id)
    assert found is not None
    assert found.deaths == deaths
    await moved(store, found, Status.STOPPED, execution_state="dead")
    await store.workloads.report_activity(row.id, "busy", moment)
    found = await store.workloads.get(row.id)
    assert found is not None
    assert found.execution_state == "dead"


async def test_the_ended_are_forgotten_with_all_that_hangs_on_them(store: Store) -> None:
    ended, living = await kernel(store), await kernel(store)
    await store.sessions.add("ada", "a.ipynb", "", "notebook", ended.id)
    await store.sessions.add("ada", "b.ipynb", "", "notebook", living.id)
    await store.waiting.add(ended.id, "m", "shell", [b"x"], limit_messages=9, limit_bytes=999)
    await moved(store, ended, Status.STOPPED)
    assert await store.workloads.forget_ended(1) == 0
    assert await store.workloads.forget_ended(-1) == 1
    assert [row.id for row in await store.workloads.all()] == [living.id]
    assert await store.sessions.at("ada", "a.ipynb") is None
    assert await store.sessions.at("ada", "b.ipynb") is not None
    assert await store.waiting.of(ended.id) == []


async def test_a_moment_without_a_time_zone_is_refused(store: Store) -> None:
    with pytest.raises(Exception, match="a moment without a time zone"):
        await store.workloads.changed_since(datetime(2026, 1, 1))
