"""What the hub withholds: from scripts of other members' servers, administrators and strangers."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

import aiohttp
import pytest
from hub_pages import SignedIn
from hub_standins import DEADLINE_SECONDS, RunningHub
from teamhub.hub.requests import BODY_BYTES
from teamhub.store import Store

pytestmark = pytest.mark.node

SCRIPTS = [
    {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": "empty"}
    for mode in ("cors", "no-cors", "same-origin")
]
"""What Chromium says of `fetch` by another member's page, which has the hub's origin."""

NAVIGATION = {
    "Sec-Fetch-Site": "same-origin",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
}


@pytest.fixture
async def administrator(hub: RunningHub, store: Store) -> AsyncIterator[SignedIn]:
    """A browser of a new administrator."""
    async with SignedIn(hub.deployment.public_url()) as browser:
        await browser.first_sign_in(store, f"adm-{uuid.uuid4().hex[:8]}", admin=True)
        yield browser


async def test_another_members_script_reads_nothing(administrator: SignedIn) -> None:
    for path in ("/home", "/token", "/account", "/administration", "/nothing", "/api/user"):
        await administrator.get(f"/hub{path}", headers=NAVIGATION)
        assert administrator.name in administrator.text
        for headers in (*SCRIPTS, NAVIGATION | {"Sec-Fetch-Dest": "iframe"}):
            await administrator.get(f"/hub{path}", headers=headers)
            assert administrator.name not in administrator.text, (path, headers)
            assert administrator.xsrf not in administrator.text, (path, headers)


async def test_a_script_of_ours_proves_it(administrator: SignedIn) -> None:
    for given, shown in ((administrator.xsrf, True), ("x", False), ("", False)):
        await administrator.get("/hub/home?part=lists", headers=SCRIPTS[0] | {"X-XSRFToken": given})
        assert ("Your notebook server" in administrator.text) is shown, given


async def test_a_window_of_ours_is_nobodys(administrator: SignedIn) -> None:
    for path in ("/hub/home", "/hub/account", "/hub/nothing"):
        await administrator.get(path)
        assert administrator.headers["Cross-Origin-Opener-Policy"] == "noopener-allow-popups"


async def test_an_administrator_gives_nobody_another_name(
    administrator: SignedIn, store: Store, hub: RunningHub
) -> None:
    """With the hub's user renamed, a browser would be somebody else's, with their files."""
    async with SignedIn(hub.deployment.public_url()) as victim:
        await victim.first_sign_in(store, f"mem-{uuid.uuid4().hex[:8]}")
        for name, new in (
            (victim.name, "somebody-else"),
            (administrator.name, "somebody-else"),
            (victim.name, victim.name),
        ):
            status = await administrator.call("PATCH", f"users/{name}", name=new)
            assert (status, "name cannot be changed" in administrator.text) == (400, True)
        assert await victim.is_signed_in()


async def test_a_body_that_is_too_long_is_not_taken(
    hub: RunningHub, http_session: aiohttp.ClientSession
) -> None:
    """Straight at the hub, where a stranger's requests come out of the proxy."""
    address = f"http://127.0.0.1:{hub.ports.hub}/hub/login"
    async with http_session.post(address, data=b"x" * (BODY_BYTES - 1024)) as answer:
        assert answer.status == 403
    reader, writer = await asyncio.open_connection("127.0.0.1", hub.ports.hub)
    writer.write(
        f"POST /hub/login HTTP/1.1\r\nHost: x\r\nContent-Length: {BODY_BYTES + 1}\r\n\r\n".encode()
    )
    async with asyncio.timeout(DEADLINE_SECONDS):
        assert (await reader.read()).partition(b"\r\n")[0] in {b"", b"HTTP/1.1 400 Bad Request"}
    writer.close()


async def test_a_status_of_thousands_of_digits(browser: SignedIn) -> None:
    await browser.get(f"/hub/error/{'9' * 5000}")
    assert browser.status == 404


@pytest.mark.parametrize("path", ["%00", "logo.svg%00", "..%2fassemble.py", "/etc/passwd", ""])
async def test_an_asset_that_cannot_be_one(browser: SignedIn, path: str) -> None:
    await browser.get(f"/hub/assets/{path}")
    assert browser.status in {403, 404}
    assert "import" not in browser.text
