"""`servers`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from cli_rig import Answer, Hub
from teamhub.deployment import Deployment
from teamhub.model import Address, Kind, Status
from teamhub.reasons import Reason
from teamhub.store import Store

Command = Callable[..., Answer]


def in_store(deployment: Deployment, work: Callable[[Store], Any]) -> Any:
    async def run() -> Any:
        store = Store.of(deployment)
        await store.open(listen=False)
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(run())


@pytest.fixture
def two_servers(deployment: Deployment) -> None:
    async def add(store: Store) -> None:
        await store.workloads.add(Kind.SERVER, "ada", "", size="standard")
        await store.workloads.add(Kind.SERVER, "bob", "second \x1b[2J")
        await store.workloads.add(Kind.KERNEL, "ada", "python3")

    in_store(deployment, add)


def test_where_none_is(on: Command) -> None:
    assert on("servers", "list", "--json").json == []
    answer = on("servers", "list")
    assert (answer.code, answer.out) == (0, "")
    assert answer.err == "teamhub: no notebook servers are running\n"


@pytest.mark.usefixtures("two_servers")
def test_list(on: Command) -> None:
    everyone = on("servers", "list", "--json").json
    assert [(one["user"], one["name"], one["status"]) for one in everyone] == [
        ("ada", "", "queued"),
        ("bob", "second \x1b[2J", "queued"),
    ]
    assert [one["user"] for one in on("servers", "list", "--user", "ada", "--json").json] == ["ada"]
    table = on("servers", "list").out
    assert "second \\x1b[2J" in table
    assert "\x1b" not in table


@pytest.mark.usefixtures("two_servers")
def test_show_one_that_runs_and_one_that_failed(on: Command, deployment: Deployment) -> None:
    shown = on("servers", "show", "ADA")
    assert shown.code == 0, shown.err
    assert "standard: not limited" in shown.out
    assert "It waits for its turn" in shown.out

    async def fail(store: Store) -> None:
        epoch = await store.lease.take("test", 0)
        assert epoch is not None
        for server in await store.workloads.living(Kind.SERVER, "ada"):
            await store.workloads.advance(
                server,
                Status.FAILED,
                epoch,
                reason=Reason.KILLED.value,
                log_tail="\x1b[2Jlast",
                address=Address("127.0.0.1", 8765),
            )

    in_store(deployment, fail)
    about = on("servers", "show", "ada", "--json").json
    assert (about["status"], about["reason"]) == ("failed", "killed")
    assert about["address"] is None
    assert about["log"] == ["\x1b[2Jlast"]
    shown = on("servers", "show", "ada")
    assert "8765" not in shown.out
    assert "journalctl" in shown.out
    assert "\\x1b[2Jlast" in shown.out
    assert "\x1b" not in shown.out


@pytest.mark.usefixtures("two_servers")
@pytest.mark.parametrize("which", ["ada/other", "carol", "bob"])
def test_what_there_is_not(on: Command, which: str) -> None:
    for command in ("show", "stop"):
        answer = on("servers", command, which)
        assert answer.code == 1
        assert answer.err == (
            f"teamhub: no notebook server {which!r} is running; see `teamhub servers list`\n"
        )
    assert len(on("servers", "list", "--json").json) == 2


@pytest.mark.usefixtures("two_servers")
def test_stop_where_nobody_would_do_it(on: Command, hub: Hub) -> None:
    answer = on("servers", "stop", "ada")
    assert answer.code == 4
    assert "nobody would end it" in answer.err
    assert hub.asked == []


def test_start_is_for_those_who_may_sign_in(on: Command, hub: Hub, deployment: Deployment) -> None:
    async def sign_up(store: Store) -> None:
        await store.accounts.add("eve", "h", one_time=False, admin=False, waiting=True)

    in_store(deployment, sign_up)
    for name in ("eve", "nobody"):
        answer = on("servers", "start", name)
        assert answer.code == 1
        assert f"there is no user called '{name}'" in answer.err
    assert hub.asked == []


def test_what_the_hub_refuses_is_told(on: Command, hub: Hub) -> None:
    on("users", "add", "ada")
    hub.answers["/hub/api/users/ada/servers/s4"] = (400, {"message": "maximum of 3 named servers"})
    answer = on("servers", "start", "ada/s4")
    assert answer.code == 1
    assert "the hub refused: maximum of 3 named servers" in answer.err
