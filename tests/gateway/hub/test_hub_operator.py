"""What the command line asks of the hub, of a real one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest
from hub_standins import DispatcherStandIn, RunningHub
from team import new_name
from teamhub.config import Config
from teamhub.deployment import Deployment
from teamhub.errors import NotFoundError, NotRunningError, RefusedError
from teamhub.model import Kind
from teamhub.operator import TOKEN_SCOPES, Operator
from teamhub.store import Store

pytestmark = pytest.mark.node

PAGE_LENGTH = 20
MORE_THAN_A_PAGE = 55
"""The hub's own page is of 50 where nobody says how long it should be."""


@pytest.fixture
async def operator(hub: RunningHub) -> AsyncIterator[Operator]:
    async with Operator(hub.deployment) as operator:
        yield operator


@pytest.fixture
async def ada(operator: Operator) -> str:
    """A user whom the hub knows."""
    name = new_name("ada")
    await operator.ensure_user(name)
    return name


async def status_of(hub: RunningHub, token: str) -> int:
    """What the hub answers to whoever holds a token."""
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"token {token}"}) as session,
        session.get(f"{hub.deployment.hub_api_url()}/user") as answer,
    ):
        return answer.status


async def token_of(operator: Operator, user: str, note: str = "test") -> str:
    return (await operator.create_token(user, note=note, expires_in_seconds=3600)).token


async def test_users_one_and_all(operator: Operator, ada: str) -> None:
    found = await operator.user(ada)
    assert found is not None
    assert (found.name, found.groups, found.roles) == (ada, (), ("user",))
    assert found in await operator.users()
    assert await operator.user(new_name("nobody")) is None
    await operator.ensure_user(ada)


async def test_to_ensure_a_user_warns_nobody(hub: RunningHub, operator: Operator, ada: str) -> None:
    await operator.ensure_user(ada)
    # A name of which another is a part, and one that is part of another.
    await operator.ensure_user(f"{ada}-2")
    await operator.ensure_user(ada)
    said = [json.loads(line) for line in hub.log().splitlines() if ada in line]
    assert said
    assert not [one for one in said if one["level"] not in {"debug", "info"}]


async def test_lists_are_whole_that_the_hub_gives_in_pages(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("teamhub.operator._PAGE_LENGTH", PAGE_LENGTH)
    stem = new_name("many")
    names = [f"{stem}-{number:03}" for number in range(MORE_THAN_A_PAGE)]
    for name in names:
        await operator.create_group(name)
    found = [group.name for group in await operator.groups()]
    assert [name for name in found if name in names] == names
    assert found == sorted(found)
    for name in names:
        await operator.delete_group(name)
    assert not {group.name for group in await operator.groups()} & set(names)
    for name in names:
        await operator.ensure_user(name)
    assert set(names) <= {user.name for user in await operator.users()}
    for name in names:
        assert await operator.delete_user(name)


async def test_groups(operator: Operator, ada: str) -> None:
    group, bob = new_name("group"), new_name("bob")
    await operator.ensure_user(bob)
    await operator.create_group(group)
    with pytest.raises(RefusedError, match="already exists"):
        await operator.create_group(group)
    for _ in range(2):
        await operator.add_to_group(group, [ada, bob])
    assert [one.members for one in await operator.groups() if one.name == group] == [(ada, bob)]
    known = await operator.user(ada)
    assert known is not None
    assert known.groups == (group,)
    for _ in range(2):
        await operator.remove_from_group(group, [bob])
    assert [one.members for one in await operator.groups() if one.name == group] == [(ada,)]
    with pytest.raises(RefusedError, match="No such user"):
        await operator.add_to_group(group, [new_name("nobody")])
    # A group goes with nobody, and a user goes out of their groups.
    assert await operator.delete_user(ada)
    assert [one.members for one in await operator.groups() if one.name == group] == [()]
    await operator.delete_group(group)
    assert await operator.user(bob) is not None
    for again in (operator.delete_group(group), operator.add_to_group(group, [bob])):
        with pytest.raises(NotFoundError):
            await again


async def test_a_revoked_token_is_nobodys(hub: RunningHub, operator: Operator, ada: str) -> None:
    first, second = await token_of(operator, ada, "first"), await token_of(operator, ada, "second")
    found = {token.note: token for token in await operator.tokens(ada)}
    assert set(found) == {"first", "second"}
    one = found["first"]
    assert (one.user, one.server, one.last_activity_at) == (ada, False, None)
    assert set(TOKEN_SCOPES) <= set(one.scopes)
    assert one.expires_at
    await operator.revoke_token(ada, one.id)
    assert [await status_of(hub, each) for each in (first, second)] == [403, 200]
    assert [token.note for token in await operator.tokens(ada)] == ["second"]
    bob = new_name("bob")
    await operator.ensure_user(bob)
    for user, token_id in ((ada, one.id), (bob, found["second"].id), (ada, "x"), (ada, "a/../b")):
        with pytest.raises(NotFoundError):
            await operator.revoke_token(user, token_id)
    assert await status_of(hub, second) == 200


async def test_all_tokens_of_a_user_and_of_nobody_else(
    hub: RunningHub, operator: Operator, ada: str
) -> None:
    bob = new_name("bob")
    await operator.ensure_user(bob)
    theirs = [await token_of(operator, ada) for _ in range(3)]
    other = await token_of(operator, bob)
    assert len(await operator.revoke_all(ada)) == 3
    assert [await status_of(hub, each) for each in (*theirs, other)] == [403, 403, 403, 200]
    assert await operator.revoke_all(ada) == []
    assert await operator.revoke_all(new_name("nobody")) == []


async def test_a_token_that_is_gone_meanwhile_is_no_error(
    operator: Operator, ada: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tokens of one browser go together; and another administrator may be quicker."""
    await token_of(operator, ada, "first")
    await token_of(operator, ada, "second")
    revoke = operator.revoke_token

    async def both(user: str, token_id: str) -> None:
        for token in await operator.tokens(user):
            await revoke(user, token.id)
        await revoke(user, token_id)

    monkeypatch.setattr(operator, "revoke_token", both)
    assert {token.note for token in await operator.revoke_all(ada)} == {"first", "second"}


async def test_a_deleted_user_takes_their_tokens_and_servers_along(
    hub: RunningHub, operator: Operator, ada: str, dispatcher: DispatcherStandIn, store: Store
) -> None:
    mine = await token_of(operator, ada)
    await operator.start_server(ada)
    (launched,) = dispatcher.launched
    servers = launched.secrets["JUPYTERHUB_API_TOKEN"]
    assert await status_of(hub, servers) == 200
    kinds = {token.note: token.server for token in await operator.tokens(ada)}
    assert kinds == {"test": False, f"Server at /user/{ada}/": True}
    assert await operator.delete_user(ada)
    assert [await status_of(hub, each) for each in (mine, servers)] == [403, 403]
    assert await operator.user(ada) is None
    assert await store.workloads.living(Kind.SERVER, ada) == []
    assert not await operator.delete_user(ada)
    # Whoever gets the name next has none of it.
    await operator.ensure_user(ada)
    assert await operator.tokens(ada) == []
    assert [await status_of(hub, each) for each in (mine, servers)] == [403, 403]


async def test_a_user_is_deleted_whose_server_is_just_starting(
    hub: RunningHub, operator: Operator, ada: str, dispatcher: DispatcherStandIn, store: Store
) -> None:
    dispatcher.go_on.clear()
    starting = asyncio.create_task(operator.start_server(ada))
    async with asyncio.timeout(60):
        await dispatcher.waits.wait()
        (launched,) = dispatcher.launched
        # As a removal does: what runs ends first.
        await store.workloads.want_all_stopped(ada)
        deleting = asyncio.create_task(operator.delete_user(ada))
        dispatcher.go_on.set()
        assert await deleting
        await asyncio.gather(starting, return_exceptions=True)
        token = launched.secrets["JUPYTERHUB_API_TOKEN"]
        assert await status_of(hub, token) == 403
        with store.subscribe() as wakes:
            while await store.workloads.living(Kind.SERVER, ada):
                await store.workloads.want_all_stopped(ada)
                await wakes.wait(1)
    assert await operator.user(ada) is None


async def test_servers_start_and_stop(
    operator: Operator, ada: str, dispatcher: DispatcherStandIn, store: Store
) -> None:
    await operator.start_server(ada)
    await operator.start_server(ada, "second")
    found = await store.workloads.living(Kind.SERVER, ada)
    assert sorted(one.name for one in found) == ["", "second"]
    with pytest.raises(RefusedError, match="already running"):
        await operator.start_server(ada)
    for _ in range(2):
        await operator.stop_server(ada, "second")
    assert [one.name for one in await store.workloads.living(Kind.SERVER, ada)] == [""]
    for _ in range(2):
        await operator.stop_server(ada)
    assert await store.workloads.living(Kind.SERVER, ada) == []
    for user, name in ((ada, "third"), (new_name("nobody"), "")):
        with pytest.raises(NotFoundError):
            await operator.stop_server(user, name)
    with pytest.raises(RefusedError, match="Invalid server_name"):
        await operator.start_server(ada, "../..")


async def test_more_named_servers_than_may_be(
    hub: RunningHub, operator: Operator, ada: str, dispatcher: DispatcherStandIn
) -> None:
    limit = hub.deployment.config.servers.named_per_member
    for number in range(limit):
        await operator.start_server(ada, f"s{number}")
    with pytest.raises(RefusedError, match=f"maximum of {limit} named servers"):
        await operator.start_server(ada, "one-more")
    assert len(dispatcher.launched) == limit


async def test_where_no_hub_is(hub: RunningHub, tmp_path_factory: pytest.TempPathFactory) -> None:
    nobody = Deployment(Config(data_dir=tmp_path_factory.mktemp("none")))
    nobody.prepare()
    async with Operator(nobody) as operator:
        for asked in (operator.users(), operator.user("ada"), operator.delete_user("ada")):
            with pytest.raises(NotRunningError) as raised:
                await asked
            assert str(nobody.data_dir) in str(raised.value)
            assert nobody.secrets().operator_token not in str(raised.value)


async def test_a_token_that_is_not_the_operators(
    hub: RunningHub, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Somebody else's hub on our port refuses, and hears nothing that it could use."""
    other = Deployment(Config(data_dir=tmp_path_factory.mktemp("other")))
    other.prepare()
    (other.run_dir / "ports.json").write_text((hub.deployment.run_dir / "ports.json").read_text())
    async with Operator(other) as operator:
        with pytest.raises(RefusedError, match="the hub refused"):
            await operator.users()
