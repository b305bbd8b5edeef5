"""What is shown when something is wrong: a page for people, JSON for programs."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
import pytest
from hub_standins import PASSWORD, Browser, RunningHub, first_sign_in
from teamhub.store import Store

pytestmark = pytest.mark.node


@contextmanager
def damaged(hub: RunningHub) -> Iterator[None]:
    """The store without its accounts, for as long as the context lasts."""
    path = hub.deployment.data_dir / "teamhub.sqlite"

    def rename(old: str, new: str) -> None:
        with sqlite3.connect(path, timeout=30) as database:
            database.execute(f"ALTER TABLE {old} RENAME TO {new}")
        database.close()

    rename("accounts", "accounts_away")
    try:
        yield
    finally:
        rename("accounts_away", "accounts")


async def test_no_such_page(browser: Browser) -> None:
    await browser.get("/hub/no-such-page?<script>")
    assert browser.status == 404
    assert "There is nothing here" in browser.text
    assert "What to do" in browser.text
    assert 'href="/hub/login' in browser.text
    assert "<script>" not in browser.text.split("<body>")[1].split("<main")[0]


async def test_what_one_may_not_see_is_said_in_words_for_people(
    store: Store, browser: Browser
) -> None:
    await first_sign_in(store, browser, "curious")
    await browser.get("/hub/spawn/somebody-else")
    assert browser.status in {403, 404}
    await browser.get("/hub/admin")
    assert browser.status == 403
    assert "You may not do this" in browser.text
    assert "scopes" not in browser.text.split("<main")[1]
    assert 'href="/hub/home"' in browser.text


async def test_api_answers_stay_json(hub: RunningHub, http_session: aiohttp.ClientSession) -> None:
    for path in ("users/nobody", "no-such-thing"):
        async with http_session.get(f"{hub.deployment.public_url()}/hub/api/{path}") as answer:
            assert answer.status in {403, 404}
            assert set(await answer.json()) >= {"status", "message"}


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/user/alice/lab", "This notebook server does not answer"),
        ("/services/gateway/dashboard", "The kernel gateway does not answer"),
        ("/else", "This does not answer"),
    ],
)
async def test_what_the_proxy_shows_when_something_is_away(
    hub: RunningHub, http_session: aiohttp.ClientSession, path: str, words: str
) -> None:
    # As the proxy asks for it: without the cookies of whoever waits.
    address = f"http://127.0.0.1:{hub.ports.hub}/hub/error/503"
    async with http_session.get(address, params={"url": f"{path}?token=secret"}) as answer:
        text = await answer.text()
        assert answer.status == 503
    assert words in text
    assert "Home page" in text
    assert "secret" not in text
    async with http_session.get(address, params={"url": "/user/alice/api/kernels"}) as answer:
        assert answer.content_type == "application/json"
        assert "does not answer" in (await answer.json())["message"]
    for code in ("200", "999", "50300"):
        async with http_session.get(address.replace("503", code)) as answer:
            assert answer.status == 404


async def test_a_route_to_nothing_shows_that_page_through_the_proxy(
    hub: RunningHub, browser: Browser, http_session: aiohttp.ClientSession
) -> None:
    """What the proxy makes of our answer: its own status, our page or JSON."""
    route = f"http://127.0.0.1:{hub.ports.proxy_api}/api/routes/user/gone"
    headers = {"Authorization": f"token {hub.deployment.secrets().proxy_token}"}
    body = {"target": "http://127.0.0.1:9"}
    async with http_session.post(route, json=body, headers=headers) as answer:
        assert answer.status == 201
    try:
        await browser.get("/user/gone/lab")
        assert browser.status == 503
        assert "This notebook server does not answer" in browser.text
        await browser.get("/user/gone/api/kernels")
        assert browser.status == 503
        assert "does not answer" in json.loads(browser.text)["message"]
    finally:
        async with http_session.delete(route, headers=headers) as answer:
            assert answer.status == 204


async def test_database_away(hub: RunningHub, store: Store, browser: Browser) -> None:
    await first_sign_in(store, browser, "patient")
    async with Browser(browser.url) as other:
        await other.get("/hub/signup")
        with damaged(hub):
            await other.submit(username="late", password=PASSWORD, password_again=PASSWORD)
            assert other.status == 503
            assert "The database does not answer" in other.text
            number = re.search(r"give them the number ([0-9a-f]{16})", other.text)
            assert number
            assert number[1] == other.headers["X-Request-Id"]
            assert f"request {number[1]}" in hub.log()

            await other.get("/hub/login")
            assert other.status == 200
            await other.submit(username="patient", password=PASSWORD)
            assert other.status == 503
            assert "database of this team server does not answer" in other.text
            assert 'value="patient"' in other.text

            await browser.get("/hub/account")
            assert browser.status == 503
            assert "Try again in a minute" in browser.text
        # Nothing was held against anybody, and nobody was signed out.
        await other.sign_in("patient", PASSWORD)
        assert await other.is_signed_in()
        assert await browser.is_signed_in()
    assert PASSWORD not in hub.log()


async def test_assets_are_kept_by_browsers_until_they_change(browser: Browser) -> None:
    await browser.get("/hub/login")
    found = re.search(r'href="(/hub/assets/teamhub\.css\?v=[0-9a-f]+)"', browser.text)
    assert found
    await browser.get(found[1])
    assert browser.status == 200
    assert browser.headers["Content-Type"].startswith("text/css")
    assert "max-age=31536000" in browser.headers["Cache-Control"]
    await browser.get("/hub/assets/teamhub.css")
    assert "max-age=31536000" not in browser.headers.get("Cache-Control", "")
    for path in ("/hub/assets/", "/hub/assets/..%2Faccounts.py", "/hub/assets/nothing.css"):
        await browser.get(path)
        assert browser.status in {403, 404}, path
    await browser.get("/hub/logo")
    assert browser.headers["Content-Type"].startswith("image/svg+xml")
