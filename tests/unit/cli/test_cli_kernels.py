"""`kernels`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from cli_rig import Answer
from teamhub.deployment import Deployment
from teamhub.model import Desired, Kind, Status
from teamhub.store import Store
from teamhub.supervisor.lock import UpLock

Command = Callable[..., Answer]
IDS = ("aaaa1111-0000-4000-8000-000000000000", "aaaa2222-0000-4000-8000-000000000000")


@asynccontextmanager
async def opened(deployment: Deployment) -> Any:
    store = Store.of(deployment)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
def two_kernels(deployment: Deployment) -> None:
    async def add() -> None:
        async with opened(deployment) as store:
            for owner, workload_id in zip(("ada", "bob"), IDS, strict=True):
                await store.workloads.add(
                    Kind.KERNEL, owner, "python3", workload_id=workload_id, spec={}
                )
            await store.workloads.add(Kind.SERVER, "ada", "", spec={})

    asyncio.run(add())


@pytest.fixture
def dispatcher(deployment: Deployment) -> Iterator[None]:
    """Somebody who ends what is wanted to stop, and a lock that says a server runs."""
    lock = UpLock(deployment)
    lock.take()
    over = threading.Event()
    listening = threading.Event()

    async def work() -> None:
        async with opened(deployment) as store:
            epoch = await store.lease.take("test", 60)
            listening.set()
            with store.subscribe() as changes:
                while not over.is_set():
                    for workload in await store.workloads.living():
                        if workload.desired is Desired.STOPPED:
                            await store.workloads.advance(workload, Status.STOPPED, epoch)
                    await changes.wait(0.2)

    thread = threading.Thread(target=lambda: asyncio.run(work()))
    thread.start()
    assert listening.wait(30)
    yield
    over.set()
    thread.join(30)
    lock.release()


@pytest.mark.usefixtures("two_kernels")
def test_list(on: Command) -> None:
    everyone = on("kernels", "list", "--json").json
    assert [(kernel["id"], kernel["user"]) for kernel in everyone] == [
        (IDS[0], "ada"),
        (IDS[1], "bob"),
    ]
    assert everyone[0]["status"] == "queued"
    assert [k["id"] for k in on("kernels", "list", "--user", "bob", "--json").json] == [IDS[1]]
    assert on("kernels", "list", "--user", "eve", "--json").json == []
    table = on("kernels", "list").out.splitlines()
    assert table[0].split()[:3] == ["ID", "USER", "KERNEL"]
    assert table[1].split()[:4] == [IDS[0][:8], "ada", "python3", "queued"]


@pytest.mark.usefixtures("two_kernels", "dispatcher")
def test_stop_waits_until_it_has_ended(on: Command) -> None:
    answer = on("kernels", "stop", "AAAA1", "--json")
    assert answer.code == 0, answer.err
    assert (answer.json["id"], answer.json["status"]) == (IDS[0], "stopped")
    assert answer.json["reason"] == "asked"
    assert [kernel["id"] for kernel in on("kernels", "list", "--json").json] == [IDS[1]]
    again = on("kernels", "stop", IDS[0])
    assert again.code == 1
    assert again.err.startswith(f"teamhub: no kernel's id begins with '{IDS[0]}'")


@pytest.mark.usefixtures("two_kernels", "dispatcher")
def test_stop_wants_to_know_which(on: Command) -> None:
    both = on("kernels", "stop", "aaaa")
    assert both.code == 1
    assert "2 kernels' ids begin with 'aaaa': aaaa1111, aaaa2222; give more of it" in both.err
    assert "no kernel's id begins with 'b'" in on("kernels", "stop", "b").err
    assert "no kernel's id begins with ''" in on("kernels", "stop", "").err
    assert len(on("kernels", "list", "--json").json) == 2


@pytest.mark.usefixtures("two_kernels")
def test_stop_where_nobody_would_do_it(on: Command) -> None:
    answer = on("kernels", "stop", "aaaa1")
    assert answer.code == 4
    assert "nobody would end it: no team server is running" in answer.err
