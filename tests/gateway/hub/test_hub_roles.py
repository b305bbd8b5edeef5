"""What administrators may do, and what not."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from hub_standins import (
    DEADLINE_SECONDS,
    PASSWORD,
    Browser,
    DispatcherStandIn,
    RunningHub,
    first_sign_in,
)
from teamhub import accounts
from teamhub.store import Store

pytestmark = pytest.mark.node


async def token_of(hub: RunningHub, http: aiohttp.ClientSession, name: str) -> str:
    """A token that somebody makes with their password: it may all that they may."""
    address = f"{hub.deployment.public_url()}/hub/api/users/{name}/tokens"
    body = {"auth": {"username": name, "password": PASSWORD}}
    async with http.post(address, json=body) as answer:
        assert answer.status == 201, await answer.text()
        return str((await answer.json())["token"])


async def ask(
    hub: RunningHub,
    http: aiohttp.ClientSession,
    token: str,
    method: str,
    path: str,
    *,
    body: object = None,
) -> int:
    address = f"{hub.deployment.public_url()}/hub/api/{path}"
    headers = {"Authorization": f"token {token}"}
    async with http.request(method, address, json=body, headers=headers) as answer:
        return answer.status


async def test_administrators_see_members_and_are_not_members(
    hub: RunningHub, store: Store, browser: Browser, http_session: aiohttp.ClientSession
) -> None:
    await first_sign_in(store, browser, "chief", admin=True)
    assert "Administration" in browser.text
    async with Browser(browser.url) as members:
        await first_sign_in(store, members, "member-of-chief")
        assert "Administration" not in members.text
    token = await token_of(hub, http_session, "chief")

    async def status(method: str, path: str, body: object = None) -> int:
        return await ask(hub, http_session, token, method, path, body=body)

    assert await status("GET", "users/member-of-chief") == 200
    # No token in a member's name, no right to more, neither for oneself nor for a member.
    assert await status("POST", "users/member-of-chief/tokens", {}) in {403, 404}
    assert await status("GET", "users/member-of-chief/tokens") in {403, 404}
    for name in ("chief", "member-of-chief"):
        assert await status("PATCH", f"users/{name}", {"admin": True}) == 403
    assert await status("POST", "users/of-its-own", {"admin": True}) == 403
    assert await status("POST", "users", {"usernames": ["of-its-own"], "admin": True}) == 403
    with_more = {"roles": ["admin"]}
    assert await status("POST", "users/chief/tokens", with_more) in {400, 403}
    assert await status("POST", "users/chief/tokens", {"scopes": ["access:servers"]}) in {400, 403}


@pytest.mark.parametrize("may_enter", [False, True])
async def test_entering_members_servers_is_a_setting(
    hub: RunningHub,
    other_hub: RunningHub,
    http_session: aiohttp.ClientSession,
    may_enter: bool,
) -> None:
    here = other_hub if may_enter else hub
    store = Store.of(here.deployment)
    await store.open()
    url = here.deployment.public_url()
    async with Browser(url) as members, Browser(url) as chiefs, DispatcherStandIn(store):
        await first_sign_in(store, members, "visited")
        await members.get("/hub/spawn")
        await first_sign_in(store, chiefs, "visitor", admin=True)
        # Where a notebook server sends whoever comes to it, to learn who it is.
        await chiefs.get(
            "/hub/api/oauth2/authorize?response_type=code&client_id=jupyterhub-user-visited"
            "&redirect_uri=%2Fuser%2Fvisited%2Foauth_callback"
            "&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
            "&code_challenge_method=S256"
        )
        if may_enter:
            # Whether to be known to somebody else's server is asked first.
            assert (chiefs.status, "Allow access?" in chiefs.text) == (200, True)
            assert "access:servers!server=visited/" in chiefs.text
        else:
            assert (chiefs.status, "You may not do this" in chiefs.text) == (403, True)
        token = await token_of(here, http_session, "visitor")
        made = await ask(here, http_session, token, "POST", "users/visited/tokens", body={})
        assert made in {403, 404}
    await store.close()


async def test_who_is_no_administrator_any_more_loses_the_role_at_the_next_refresh(
    other_hub: RunningHub, http_session: aiohttp.ClientSession
) -> None:
    store = Store.of(other_hub.deployment)
    await store.open()
    async with Browser(other_hub.deployment.public_url()) as browser:
        await accounts.add_user(store, "the-other", admin=True)
        await first_sign_in(store, browser, "demoted", admin=True)
        token = await token_of(other_hub, http_session, "demoted")
        assert await ask(other_hub, http_session, token, "GET", "users") == 200
        await store.accounts.set_admin("demoted", False)
        async with asyncio.timeout(DEADLINE_SECONDS):
            while "Administration" in browser.text:
                await browser.get("/hub/home")
        assert await browser.is_signed_in()
        # What was made in the role ends with it.
        assert await ask(other_hub, http_session, token, "GET", "users") == 403
        await store.accounts.set_admin("demoted", True)
        async with asyncio.timeout(DEADLINE_SECONDS):
            while "Administration" not in browser.text:
                await browser.get("/hub/home")
    await store.close()


async def test_the_hubs_own_role_is_nobodys(
    hub: RunningHub, store: Store, browser: Browser, http_session: aiohttp.ClientSession
) -> None:
    await first_sign_in(store, browser, "not-almighty", admin=True)
    operator = hub.deployment.secrets().operator_token
    address = f"{hub.deployment.hub_api_url()}/users"
    async with http_session.get(address, headers={"Authorization": f"token {operator}"}) as answer:
        users = await answer.json()
    assert "not-almighty" in {user["name"] for user in users}
    assert not any(user["admin"] or "admin" in user["roles"] for user in users)
