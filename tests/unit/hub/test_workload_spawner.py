"""The spawner against a real store, whose rows are moved on as a dispatcher would."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jupyterhub import orm
from jupyterhub.spawner import SpawnException
from teamhub.config import Config, DispatcherSettings, ServerSettings
from teamhub.deployment import Deployment
from teamhub.errors import StoreError
from teamhub.hub import process
from teamhub.hub.spawner import WorkloadSpawner
from teamhub.model import Address, Desired, Kind, Status, Workload
from teamhub.reasons import Reason
from teamhub.store import Store
from teamhub.store.migrate import upgrade
from traitlets.config import Config as Traitlets

DEADLINE_SECONDS = 20


class Rows:
    """The rows of servers, and a dispatcher's hand on them."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.epoch = 0

    async def living(self, *statuses: Status, desired: Desired = Desired.RUNNING) -> Workload:
        """Wait for a living server like that."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            with self.store.subscribe() as wakes:
                while True:
                    for found in await self.store.workloads.living(Kind.SERVER, "alice"):
                        if found.desired is desired and (not statuses or found.status in statuses):
                            return found
                    await wakes.wait(1)

    async def move(self, workload: Workload, *statuses: Status, **values: Any) -> Workload:
        """Move it through these, with the values at the last one."""
        for status in statuses:
            last = values if status is statuses[-1] else {}
            assert await self.store.workloads.advance(workload, status, self.epoch, **last)
            found = await self.store.workloads.get(workload.id)
            assert found is not None
            workload = found
        return workload

    async def run(self, port: int = 4321) -> Workload:
        """Have the server that is queued run."""
        return await self.move(
            await self.living(Status.QUEUED),
            Status.PLACED,
            Status.STARTING,
            Status.RUNNING,
            address=Address("127.0.0.1", port),
        )


@pytest.fixture
async def rows(tmp_path: Path) -> AsyncIterator[Rows]:
    config = Config(
        data_dir=tmp_path,
        servers=ServerSettings(start_timeout_seconds=DEADLINE_SECONDS, sizes=("standard",)),
    )
    deployment = Deployment(config)
    deployment.prepare()
    await upgrade(config.store_url())
    here = process.begin(deployment)
    rows = Rows(await here.store())
    rows.epoch = await rows.store.lease.take("the test", 0) or 0
    yield rows
    await here.close()


MakeSpawner = Callable[..., WorkloadSpawner]


@pytest.fixture
def make_spawner() -> MakeSpawner:
    session = orm.new_session_factory("sqlite:///:memory:")()
    user = orm.User(name="alice")
    session.add(user)
    session.commit()

    def make(**traits: Any) -> WorkloadSpawner:
        row = next(iter(user.orm_spawners.values()), None) or orm.Spawner(name="", user=user)
        session.add(row)
        session.commit()
        spawner = WorkloadSpawner(
            orm_spawner=row,
            user=SimpleNamespace(name="alice", url="/user/alice/", escaped_name="alice"),
            hub=SimpleNamespace(
                public_host="", base_url="/hub/", api_url="http://127.0.0.1:1/hub/api"
            ),
            config=Traitlets({"Spawner": {"env_keep": []} | traits}),
        )
        spawner.api_token = "the token"
        if row.state:
            spawner.load_state(row.state)
        return spawner

    return make


async def test_start_wants_a_server_and_returns_where_it_runs(
    rows: Rows, make_spawner: MakeSpawner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_HUB", "x")
    spawner = make_spawner(environment={"TEAM": "blue"})
    starting = asyncio.create_task(spawner.start())
    wanted = await rows.living(Status.QUEUED)
    await rows.run()
    assert await asyncio.wait_for(starting, DEADLINE_SECONDS) == "http://127.0.0.1:4321"

    assert (wanted.owner, wanted.name, wanted.size) == ("alice", "", "standard")
    assert wanted.spec["argv"][1:] == ["-m", "teamhub_notebook"]
    assert wanted.spec["working_dir"].endswith("/homes/alice")
    env = wanted.spec["env"]
    assert env["JUPYTERHUB_USER"] == "alice"
    assert env["JUPYTERHUB_SERVICE_URL"].startswith("http://127.0.0.1:0/")
    assert env["TEAMHUB_GATEWAY_URL"] == process.current().deployment.gateway_url()
    assert all(name.startswith(("JUPYTERHUB_", "TEAMHUB_")) for name in env)
    assert wanted.secrets == {"JUPYTERHUB_API_TOKEN": "the token", "TEAM": "blue"}


async def test_failed_start_tells_reason_detail_and_log(
    rows: Rows, make_spawner: MakeSpawner
) -> None:
    starting = asyncio.create_task(make_spawner().start())
    await rows.move(
        await rows.living(Status.QUEUED),
        Status.PLACED,
        Status.STARTING,
        Status.FAILED,
        reason=Reason.COMMAND_NOT_FOUND.value,
        detail="nowhere/lab",
        log_tail="\n".join(f"<line {number}>" for number in range(100)),
    )
    with pytest.raises(SpawnException) as raised:
        await asyncio.wait_for(starting, DEADLINE_SECONDS)
    text = raised.value.jupyterhub_message
    assert "its command does not exist or may not be executed (nowhere/lab)." in text
    assert text.endswith("<line 99>")
    assert "<line 50>" not in text
    assert "&lt;line 99&gt;</pre>" in raised.value.jupyterhub_html_message
    assert raised.value.reason == "command-not-found"


async def test_poll_follows_the_row_and_survives_a_restart_of_the_hub(
    rows: Rows, make_spawner: MakeSpawner, monkeypatch: pytest.MonkeyPatch
) -> None:
    spawner = make_spawner()
    assert await spawner.poll() == 0, "never started"
    starting = asyncio.create_task(spawner.start())
    running = await rows.run()
    await starting
    assert await spawner.poll() is None

    later = make_spawner()
    assert later.workload_id == running.id
    assert await later.poll() is None

    async def away(_: str) -> None:
        raise StoreError("away")

    with monkeypatch.context() as patch:
        patch.setattr(rows.store.workloads, "get", away)
        assert await later.poll() is None

    await rows.move(running, Status.FAILED, reason=Reason.VANISHED.value)
    assert await later.poll() == 1
    later.clear_state()
    assert later.get_state() == {}
    assert await later.poll() == 0


async def test_stop_waits_until_it_has_ended(rows: Rows, make_spawner: MakeSpawner) -> None:
    spawner = make_spawner()
    starting = asyncio.create_task(spawner.start())
    running = await rows.run()
    await starting
    stopping = asyncio.create_task(spawner.stop())
    await rows.living(desired=Desired.STOPPED)
    stopped = await rows.move(running, Status.STOPPING)
    assert not stopping.done()
    await rows.move(stopped, Status.STOPPED)
    await asyncio.wait_for(stopping, DEADLINE_SECONDS)
    assert await spawner.poll() == 0
    await spawner.stop()


async def test_server_that_the_hub_lost_is_stopped_before_a_new_one(
    rows: Rows, make_spawner: MakeSpawner
) -> None:
    lost = await rows.store.workloads.add(Kind.SERVER, "alice", "", spec={"argv": []})
    lost = await rows.run(1)
    spawner = make_spawner()
    starting = asyncio.create_task(spawner.start())
    await rows.living(desired=Desired.STOPPED)
    events = spawner.progress()
    assert "previous" in (await anext(events))["message"]
    await rows.move(lost, Status.STOPPING, Status.STOPPED)
    new = await rows.run(2)
    assert new.id != lost.id
    assert await asyncio.wait_for(starting, DEADLINE_SECONDS) == "http://127.0.0.1:2"
    await events.aclose()


async def test_progress_tells_each_step_once(rows: Rows, make_spawner: MakeSpawner) -> None:
    spawner = make_spawner()
    starting = asyncio.create_task(spawner.start())
    workload = await rows.living(Status.QUEUED)
    events = spawner.progress()
    told = [await anext(events)]
    for statuses, values in (
        ((Status.QUEUED,), {"detail": "waiting for memory"}),
        ((Status.PLACED,), {"node": "node1"}),
        ((Status.STARTING,), {}),
        ((Status.RUNNING,), {"address": Address("::1", 1)}),
    ):
        workload = await rows.move(workload, *statuses, **values)
        told.append(await asyncio.wait_for(anext(events), DEADLINE_SECONDS))
    assert [event["message"] for event in told[:2]] == ["Queued", "Queued: waiting for memory"]
    assert "node1" in told[3]["message"]
    numbers = [event["progress"] for event in told]
    assert numbers == sorted(numbers)
    with pytest.raises(StopAsyncIteration):
        await anext(events)
    assert await starting == "http://[::1]:1"


async def test_without_a_dispatcher_the_user_is_told_so(
    tmp_path: Path, rows: Rows, make_spawner: MakeSpawner
) -> None:
    await rows.store.lease.release(rows.epoch)
    config = Config(
        data_dir=tmp_path,
        servers=ServerSettings(start_timeout_seconds=0.1),
        dispatcher=DispatcherSettings(),
    )
    here = process.begin(Deployment(config))
    try:
        with pytest.raises(SpawnException) as raised:
            await make_spawner().start()
    finally:
        await here.close()
    assert "the dispatcher is not running" in raised.value.jupyterhub_message


async def test_url_after_a_restart_is_the_rows(rows: Rows, make_spawner: MakeSpawner) -> None:
    starting = asyncio.create_task(make_spawner().start())
    await rows.run(7777)
    await starting
    later = make_spawner()
    later.server = SimpleNamespace(url="http://127.0.0.1:1/user/alice/", orm_server=None)
    later.orm_spawner = None
    later._server = SimpleNamespace(url="http://127.0.0.1:1/user/alice/")
    assert await later.get_url() == "http://127.0.0.1:7777/user/alice/"
