"""Health, and who may come in: tokens in every form, revoked, and with the hub away."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from aiohttp import WSCloseCode, WSMsgType
from notebook_servers import hub_api
from patience import eventually
from team import PASSWORD, Cells, Member, TeamServer, new_name, serving
from teamhub.deployment import Deployment

pytestmark = pytest.mark.timeout(240)

# So that a revocation is seen soon; the grace is long enough for a hub that is stopped by us.
SETTINGS = """
[gateway]
token_cache_seconds = 1
token_grace_seconds = 120
"""
PROBLEM = {"message", "reason", "code", "request_id"}
ANSWER_SECONDS = 30
"""What is asked while something is away must be answered all the same, within this time."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TeamServer]:
    """A team server whose hub the tests stop for a while."""
    with serving(tmp_path_factory.mktemp("health") / "data", SETTINGS) as server:
        yield server


@pytest.fixture(scope="module")
def member(server: TeamServer) -> Member:
    """A member of that team."""
    return server.member()


@contextlib.contextmanager
def suspended(server: TeamServer, name: str) -> Iterator[None]:
    """Stop a process as SIGSTOP does: it neither answers nor refuses."""
    process = psutil.Process(server.pid_of(name))
    process.suspend()
    try:
        yield
    finally:
        process.resume()


async def ask(server: TeamServer, path: str, token: str | None = None) -> tuple[int, Any]:
    """Ask the gateway for something; return status code and JSON."""
    headers = {"Authorization": f"token {token}"} if token else {}
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    async with (
        aiohttp.ClientSession(headers=headers, timeout=timeout) as http,
        http.get(f"{server.gateway_url}/{path}") as response,
    ):
        return response.status, await response.json()


async def ready(server: TeamServer) -> None:
    """Return when everything is there."""

    async def look() -> bool:
        return (await ask(server, "readyz"))[0] == 200

    await eventually("the gateway is ready", look)


async def test_ready_and_healthy_without_a_token(server: TeamServer) -> None:
    await ready(server)
    assert await ask(server, "healthz") == (200, {"ok": True})
    assert await ask(server, "readyz") == (
        200,
        {
            "ready": True,
            "checks": {"database": True, "hub": True, "disk": True, "dispatcher": True},
        },
    )
    status, version = await ask(server, "api")
    assert (status, set(version)) == (200, {"version"})


async def test_the_hub_is_away(server: TeamServer, member: Member) -> None:
    await ready(server)
    assert (await ask(server, "api/kernels", member.token))[0] == 200
    kernel_id = await member.start_kernel()
    async with member.connect(kernel_id) as cells:
        assert (await cells.run("kept = 1")).status == "ok"
        with suspended(server, "hub"):
            assert (await ask(server, "healthz"))[0] == 200
            status, body = await ask(server, "readyz")
            assert (status, body["ready"]) == (503, False)
            assert body["checks"] == {
                "database": True,
                "hub": False,
                "disk": True,
                "dispatcher": True,
            }
            # A token that was good a moment ago still is, for everything.
            status, kernels = await ask(server, "api/kernels", member.token)
            assert (status, [one["id"] for one in kernels]) == (200, [kernel_id])
            assert (await cells.run("print(kept)")).text == "1\n"
            async with member.connect(kernel_id) as others:
                assert (await others.run("print(kept)")).text == "1\n"
            # Of one never seen nothing is known: that is not the token's fault.
            status, body = await ask(server, "api/kernels", uuid.uuid4().hex)
            assert (status, set(body)) == (503, PROBLEM)
        await ready(server)
        assert (await cells.run("print(kept)")).text == "1\n"
    async with member.http() as http, http.delete(f"api/kernels/{kernel_id}") as response:
        assert response.status == 204


async def test_the_dispatcher_is_away(server: TeamServer) -> None:
    """Its lease is taken from it, as often as it takes to see that before it is back."""
    await ready(server)

    async def seen() -> bool:
        taken = "update dispatcher_lease set holder = '', epoch = epoch + 1"
        with contextlib.closing(sqlite3.connect(server.data_dir / "teamhub.sqlite")) as database:
            database.execute(taken)
            database.commit()
        status, body = await ask(server, "readyz")
        return status == 503 and body["checks"] == {
            "database": True,
            "hub": True,
            "disk": True,
            "dispatcher": False,
        }

    await eventually("the dispatcher's absence is seen", seen)
    await ready(server)


async def test_tokens_in_every_form(server: TeamServer, member: Member) -> None:
    forms = (
        ({"Authorization": f"token {member.token}"}, ""),
        ({"Authorization": f"Token {member.token}"}, ""),
        ({"Authorization": f"Bearer {member.token}"}, ""),
        ({}, f"?token={member.token}"),
    )
    for headers, query in forms:
        async with (
            aiohttp.ClientSession(headers=headers) as http,
            http.get(f"{server.gateway_url}/api/me{query}") as response,
        ):
            assert response.status == 200, headers
            assert (await response.json())["identity"]["username"] == member.name


async def test_a_websocket_takes_its_token_in_every_form(
    server: TeamServer, member: Member
) -> None:
    kernel_id = await member.start_kernel()
    url = f"{server.gateway_url}/api/kernels/{kernel_id}/channels"
    for headers, query in (
        ({"Authorization": f"Bearer {member.token}"}, ""),
        ({}, f"?token={member.token}"),
    ):
        async with (
            aiohttp.ClientSession(headers=headers) as http,
            http.ws_connect(f"{url}{query}") as websocket,
        ):
            assert (await Cells(websocket, uuid.uuid4().hex).run("6 * 7")).text == "42"
    for query in ("", "?token=wrong"):
        async with aiohttp.ClientSession() as http:
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await http.ws_connect(f"{url}{query}")
            assert refused.value.status == 403
    async with member.http() as http, http.delete(f"api/kernels/{kernel_id}") as response:
        assert response.status == 204


async def test_without_a_good_token_there_is_nothing(server: TeamServer) -> None:
    bad = (
        {},
        {"Authorization": ""},
        {"Authorization": "token"},
        {"Authorization": "token wrong"},
        {"Authorization": f"Bearer {uuid.uuid4().hex}"},
        {"Authorization": "Basic YTpi"},
        {"Authorization": "token sch\xf6n"},
        {"Authorization": f"token {Deployment.running(server.data_dir).secrets().gateway_token}"},
    )
    async with aiohttp.ClientSession() as http:
        for headers in bad:
            for method, path in (
                ("GET", "api/kernels"),
                ("POST", "api/kernels"),
                ("GET", "api/kernelspecs"),
                ("GET", "api/sessions"),
                ("GET", f"api/kernels/{uuid.uuid4()}/channels"),
                ("GET", "api/no/such/thing"),
            ):
                url = f"{server.gateway_url}/{path}"
                async with http.request(method, url, headers=headers) as response:
                    body = await response.json()
                    assert response.status == 403, (headers, path)
                assert set(body) == PROBLEM
                assert (body["reason"], body["code"]) == ("Forbidden", 403)
                assert "token" in body["message"]


async def test_a_revoked_token_is_good_for_nothing(server: TeamServer, member: Member) -> None:
    token, token_id = personal_token(server, member)
    assert (await ask(server, "api/me", token))[0] == 200
    await revoked(server, member, token_id)

    async def refused() -> bool:
        status, body = await ask(server, "api/me", token)
        return status == 403 and set(body) == PROBLEM

    await eventually("the token is refused", refused)
    # The member's other token is as good as before.
    assert (await ask(server, "api/me", member.token))[0] == 200


async def test_an_open_websocket_ends_with_its_token(server: TeamServer, member: Member) -> None:
    kernel_id = await member.start_kernel()
    token, token_id = personal_token(server, member)
    other = Member(server, member.name, "", token)
    async with member.connect(kernel_id) as kept, other.connect(kernel_id) as cells:
        assert (await cells.run("6 * 7")).text == "42"
        await revoked(server, member, token_id)
        async with asyncio.timeout(ANSWER_SECONDS):
            while (message := await cells.websocket.receive()).type is WSMsgType.TEXT:
                pass
        assert (message.type, message.data) == (WSMsgType.CLOSE, WSCloseCode.POLICY_VIOLATION)
        assert "token" in message.extra
        assert (await kept.run("6 * 7")).text == "42"
    async with member.http() as http, http.delete(f"api/kernels/{kernel_id}") as response:
        assert response.status == 204


async def test_no_secret_is_ever_logged(server: TeamServer) -> None:
    name, one_time_password = server.add_user()
    member = Member(server, name, one_time_password, server.token(name))
    async with signed_in(server, name, f"wrong-{PASSWORD}") as response:
        assert response.status == 403
    async with signed_in(server, name, one_time_password) as response:
        assert response.status < 400
    assert (await ask(server, f"api/kernels?token={member.token}"))[0] == 200
    strange = uuid.uuid4().hex
    assert (await ask(server, f"api/kernels?token={strange}"))[0] == 403
    assert (await ask(server, f"api/no?a=b&token={member.token}"))[0] == 404
    kernel_id = await member.start_kernel()
    url = f"{server.gateway_url}/api/kernels/{kernel_id}/channels?token={member.token}"
    async with aiohttp.ClientSession() as http, http.ws_connect(url) as websocket:
        assert (await Cells(websocket, uuid.uuid4().hex).run("6 * 7")).text == "42"
    secrets = {
        "token": member.token,
        "strange token": strange,
        "one-time password": one_time_password,
        "wrong password": f"wrong-{PASSWORD}",
        **vars(Deployment.running(server.data_dir).secrets()),
    }
    del secrets["gateway_public_key"]
    found = []
    logs = [*(server.data_dir / "logs").iterdir(), *server.data_dir.glob("workloads/*/log*")]
    assert len(logs) >= 4
    for path in logs:
        text = path.read_text(errors="replace")
        found += [(path.name, what) for what, secret in secrets.items() if secret in text]
    assert found == []
    said = Path(f"{server.data_dir}-up.log").read_text()
    assert not any(secret in said for secret in secrets.values())
    async with member.http() as http, http.delete(f"api/kernels/{kernel_id}") as response:
        assert response.status == 204


def personal_token(server: TeamServer, member: Member) -> tuple[str, str]:
    """Make a token; return it and its id."""
    made = server.cli("tokens", "create", "--user", member.name, "--note", new_name("note"))
    return made["token"], made["id"]


async def revoked(server: TeamServer, member: Member, token_id: str) -> None:
    """Revoke a token at the hub."""
    async with (
        hub_api(server) as hub,
        hub.delete(f"users/{member.name}/tokens/{token_id}") as response,
    ):
        assert response.status == 204, await response.text()


@contextlib.asynccontextmanager
async def signed_in(
    server: TeamServer, name: str, password: str
) -> AsyncIterator[aiohttp.ClientResponse]:
    """Sign in as a browser does, and see where that leads."""
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as browser:
        url = f"{server.url}/hub/login"
        async with browser.get(url) as response:
            assert response.status == 200
        xsrf = next(cookie.value for cookie in jar if cookie.key == "_xsrf")
        form = {"username": name, "password": password, "_xsrf": xsrf}
        async with browser.post(url, data=form, allow_redirects=False) as response:
            yield response
