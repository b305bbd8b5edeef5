"""Who may do what with which token, asked of the real hub."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest
from hub_standins import DEADLINE_SECONDS, Browser, DispatcherStandIn, RunningHub
from teamhub import accounts
from teamhub.hub.assemble import GATEWAY_SCOPE, TOKEN_DAYS
from teamhub.store import Store

pytestmark = pytest.mark.node

PASSWORD = "a password of mine"


async def ask(
    session: aiohttp.ClientSession, hub: RunningHub, method: str, path: str, token: str, **body: Any
) -> tuple[int, Any]:
    url = f"{hub.deployment.hub_api_url()}/{path}"
    headers = {"Authorization": f"token {token}"}
    async with session.request(method, url, headers=headers, json=body or None) as answer:
        is_json = answer.content_type == "application/json" and answer.status != 204
        return answer.status, await answer.json() if is_json else None


async def test_token_made_by_the_operator_is_good_for_the_gateway(
    hub: RunningHub, http_session: aiohttp.ClientSession
) -> None:
    operator = hub.deployment.secrets().operator_token
    assert (await ask(http_session, hub, "POST", "users/dora", operator))[0] == 201
    status, made = await ask(
        http_session, hub, "POST", "users/dora/tokens", operator, note="for a script"
    )
    assert status == 201
    status, model = await ask(http_session, hub, "GET", "user", made["token"])
    assert (status, model["kind"], model["name"]) == (200, "user", "dora")
    assert GATEWAY_SCOPE in model["scopes"]
    assert made["expires_at"]

    status, narrow = await ask(
        http_session, hub, "POST", "users/dora/tokens", operator, scopes=[GATEWAY_SCOPE]
    )
    status, model = await ask(http_session, hub, "GET", "user", narrow["token"])
    assert (status, GATEWAY_SCOPE in model["scopes"]) == (200, True)
    assert (await ask(http_session, hub, "GET", "users", narrow["token"]))[0] == 403

    too_long = (TOKEN_DAYS + 1) * 24 * 3600
    status, _ = await ask(
        http_session, hub, "POST", "users/dora/tokens", operator, expires_in=too_long
    )
    assert status == 400


async def test_operator_may_what_running_a_deployment_takes(
    hub: RunningHub, http_session: aiohttp.ClientSession
) -> None:
    operator = hub.deployment.secrets().operator_token
    for path in ("users", "info", "proxy", "groups"):
        assert (await ask(http_session, hub, "GET", path, operator))[0] == 200, path
    assert (await ask(http_session, hub, "GET", "services", operator))[0] == 403


async def test_gateway_is_known_and_may_nothing_else(
    hub: RunningHub, http_session: aiohttp.ClientSession
) -> None:
    token = hub.deployment.secrets().gateway_token
    status, model = await ask(http_session, hub, "GET", "user", token)
    assert (status, model["kind"], model["name"]) == (200, "service", "gateway")
    assert (await ask(http_session, hub, "GET", "users", token))[0] == 403


async def test_name_that_cannot_be_an_account_cannot_be_a_user(
    hub: RunningHub, http_session: aiohttp.ClientSession
) -> None:
    operator = hub.deployment.secrets().operator_token
    assert (await ask(http_session, hub, "POST", "users/.hidden", operator))[0] == 400


async def test_password_of_one_use_makes_no_token(
    hub: RunningHub, http_session: aiohttp.ClientSession, store: Store
) -> None:
    password = await accounts.add_user(store, "erik", admin=False)
    operator = hub.deployment.secrets().operator_token
    await ask(http_session, hub, "POST", "users/erik", operator)
    for auth in ({"username": "erik", "password": password}, {"username": 1}, None):
        url = f"{hub.deployment.hub_api_url()}/users/erik/tokens"
        async with http_session.post(url, json={"auth": auth}) as answer:
            assert answer.status == 403


async def test_administrators_have_their_role_and_nobody_has_the_hubs_own(
    hub: RunningHub, http_session: aiohttp.ClientSession, store: Store, browser: Browser
) -> None:
    password = await accounts.add_user(store, "root-of-all", admin=True)
    await browser.sign_in("root-of-all", password)
    await browser.submit(new_password=PASSWORD, new_password_again=PASSWORD)
    operator = hub.deployment.secrets().operator_token
    _, model = await ask(http_session, hub, "GET", "users/root-of-all", operator)
    assert model["admin"] is False
    assert sorted(model["roles"]) == ["administrator", "user"]


async def test_server_token_is_good_for_the_gateway_also_after_the_hub_was_killed(
    hub: RunningHub, http_session: aiohttp.ClientSession, dispatcher: DispatcherStandIn
) -> None:
    operator = hub.deployment.secrets().operator_token
    await ask(http_session, hub, "POST", "users/fred", operator)
    status, _ = await ask(http_session, hub, "POST", "users/fred/server", operator)
    assert status in {201, 202}
    token = dispatcher.launched[0].secrets["JUPYTERHUB_API_TOKEN"]
    assert token not in str(dispatcher.launched[0].spec)

    hub.kill_hub()
    async with http_session.get(f"{hub.deployment.public_url()}/user/fred/lab") as answer:
        assert await answer.text() == "a notebook server"
    await asyncio.to_thread(hub.start_hub)
    status, model = await ask(http_session, hub, "GET", "user", token)
    assert (status, model["name"]) == (200, "fred")
    assert GATEWAY_SCOPE in model["scopes"]
    _, fred = await ask(http_session, hub, "GET", "users/fred", operator)
    assert fred["servers"][""]["ready"] is True
    assert (await ask(http_session, hub, "DELETE", "users/fred/server", operator))[0] == 204
    assert len(dispatcher.launched) == 1


async def test_server_that_was_starting_when_the_hub_was_killed_is_taken_up(
    hub: RunningHub, http_session: aiohttp.ClientSession, dispatcher: DispatcherStandIn
) -> None:
    operator = hub.deployment.secrets().operator_token
    await ask(http_session, hub, "POST", "users/gerd", operator)
    dispatcher.go_on.clear()
    asking = asyncio.create_task(ask(http_session, hub, "POST", "users/gerd/server", operator))
    await asyncio.wait_for(dispatcher.waits.wait(), DEADLINE_SECONDS)
    hub.kill_hub()
    with pytest.raises(aiohttp.ClientError):
        await asking
    starting = asyncio.create_task(asyncio.to_thread(hub.start_hub))
    dispatcher.go_on.set()
    await starting
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            _, gerd = await ask(http_session, hub, "GET", "users/gerd", operator)
            if gerd["servers"].get("", {}).get("ready"):
                break
    (workload,) = dispatcher.launched
    token = workload.secrets["JUPYTERHUB_API_TOKEN"]
    assert (await ask(http_session, hub, "GET", "user", token))[1]["name"] == "gerd"
