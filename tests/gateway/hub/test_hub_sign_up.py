"""Asking for an account, waiting, being approved: over HTTP, through the proxy."""

from __future__ import annotations

import aiohttp
import pytest
from hub_standins import Browser, RunningHub
from teamhub.hub.pages.sign_up import SIGN_UPS
from teamhub.store import Store

pytestmark = pytest.mark.node

PASSWORD = "correct horse battery ß"


async def ask_for_account(browser: Browser, name: str, **fields: str) -> None:
    await browser.get("/hub/signup")
    filled = {"username": name, "password": PASSWORD, "password_again": PASSWORD, "note": ""}
    await browser.submit(**(filled | fields))


async def test_from_asking_to_being_signed_in(store: Store, browser: Browser) -> None:
    await browser.get("/hub/login")
    assert "Ask for an account" in browser.text
    await ask_for_account(browser, " Dana ", note="Dana D., group of Eve")
    assert (browser.status, browser.path) == (200, "/hub/waiting")
    assert "with the administrators" in browser.text
    account = await store.accounts.get("dana")
    assert account is not None
    assert (account.waiting, account.admin, account.note) == (True, False, "Dana D., group of Eve")

    await browser.sign_in("dana", "not her password")
    assert "Wrong user name or password" in browser.text
    assert "approv" not in browser.text
    await browser.sign_in("dana", PASSWORD)
    assert browser.status == 403
    assert "no administrator has approved it so far" in browser.text
    assert not await browser.is_signed_in()

    await store.accounts.approve("dana")
    await browser.sign_in("dana", PASSWORD)
    assert (browser.status, browser.path) == (200, "/hub/home")
    await browser.get("/hub/signup")
    assert browser.path == "/hub/home"


async def test_somebody_who_waits_gets_no_token(
    hub: RunningHub, store: Store, browser: Browser, http_session: aiohttp.ClientSession
) -> None:
    await ask_for_account(browser, "eager")
    for body in ({"username": "eager", "password": PASSWORD},):
        for whose in ("eager", "somebody-else"):
            address = f"{hub.deployment.public_url()}/hub/api/users/{whose}/tokens"
            async with http_session.post(address, json={"auth": body}) as answer:
                assert answer.status == 403
                assert answer.content_type == "application/json"


async def test_what_is_wrong_is_said_by_field_and_nothing_is_lost(
    store: Store, browser: Browser
) -> None:
    await ask_for_account(browser, "Häns", note='<b>"Hans"', password="short", password_again="x")
    assert browser.status == 400
    assert "&#39;Häns&#39; cannot be a user name" in browser.text
    assert "at least 10 characters" in browser.text
    assert "not the same" not in browser.text
    assert 'value="Häns"' in browser.text
    assert 'value="&lt;b&gt;&#34;Hans&#34;"' in browser.text
    assert "short" not in browser.text

    await browser.submit(username="hans", password=PASSWORD, password_again="something else")
    assert (browser.status, "not the same" in browser.text) == (400, True)
    for fields, words in (
        ({"username": ""}, "Choose a user name"),
        ({"username": "../hans"}, "cannot be a user name"),
        ({"username": "a" * 33}, "cannot be a user name"),
        ({"username": "\u212aarl"}, "cannot be a user name"),
        ({"password": "", "password_again": ""}, "Choose a password"),
        ({"password": "x" * 1025, "password_again": "x" * 1025}, "at most 1024 characters"),
        ({"username": "hans-hans-hans", "password": "Hans-Hans-Hans"}, "not be the user name"),
        ({"note": "x" * 201}, "at most 200 characters"),
        ({"note": "two\nlines"}, "one line"),
    ):
        await ask_for_account(browser, **({"name": "hans"} | _named(fields)))
        assert browser.status == 400, fields
        assert words in browser.text, fields
    assert [each.name for each in await store.accounts.all() if "hans" in each.name] == []


def _named(fields: dict[str, str]) -> dict[str, str]:
    return {("name" if key == "username" else key): value for key, value in fields.items()}


async def test_only_that_a_name_is_taken_can_be_learnt(store: Store, browser: Browser) -> None:
    await ask_for_account(browser, "taken")
    before = await store.accounts.get("taken")
    pages = []
    for password in (PASSWORD, "another password"):
        await ask_for_account(browser, "taken", password=password, password_again=password)
        assert browser.status == 409
        assert "This name is taken" in browser.text
        pages.append(_without_tokens(browser.text))
    assert pages[0] == pages[1]
    assert await store.accounts.get("taken") == before


def _without_tokens(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if "xsrf" not in line)


async def test_an_administrators_name_gives_no_rights(
    hub: RunningHub, store: Store, browser: Browser
) -> None:
    name = hub.deployment.config.hub.admin
    await ask_for_account(browser, name)
    account = await store.accounts.get(name)
    assert account is not None
    assert (account.admin, account.waiting) == (False, True)
    await store.accounts.approve(name)
    await browser.sign_in(name, PASSWORD)
    assert await browser.is_signed_in()
    await browser.get("/hub/admin")
    assert browser.status in {403, 404}
    assert "Administration" not in browser.text


async def test_it_needs_the_pages_own_token(store: Store, browser: Browser) -> None:
    await browser.get("/hub/signup")
    await browser.submit(_xsrf="no", username="forged", password=PASSWORD, password_again=PASSWORD)
    assert browser.status == 403
    assert "This page was open for too long" in browser.text
    assert await store.accounts.get("forged") is None


async def test_one_address_asks_for_so_many(store: Store, browser: Browser) -> None:
    for number in range(SIGN_UPS + 2):
        # A name that is taken costs one, too, or names could be tried without an end.
        await ask_for_account(browser, "crowd-0" if number % 2 else f"crowd-{number}")
        if browser.status == 429:
            break
    assert browser.status == 429
    assert int(browser.headers["Retry-After"]) >= 1
    assert "Too many sign-ups from where you are. Try again in" in browser.text
    assert 'value="crowd-' in browser.text
    async with Browser(browser.url) as other:
        await ask_for_account(other, "from-elsewhere")
        assert other.path == "/hub/waiting"


async def test_so_many_may_wait(hub: RunningHub, store: Store, browser: Browser) -> None:
    limit = hub.deployment.config.accounts.waiting_sign_ups
    names = [f"in-line-{number}" for number in range(limit)]
    for name in names:
        await store.accounts.add(name, "", one_time=False, admin=False, waiting=True)
    try:
        await ask_for_account(browser, "one-too-many", note="Patience")
        assert browser.status == 429
        assert "wait for approval already" in browser.text
        assert 'value="one-too-many"' in browser.text
        assert 'value="Patience"' in browser.text
        assert await store.accounts.get("one-too-many") is None
    finally:
        for name in names:
            await store.accounts.remove(name)


async def test_closed_says_whom_to_ask(other_hub: RunningHub) -> None:
    async with Browser(other_hub.deployment.public_url()) as browser:
        await browser.get("/hub/login")
        assert "Ask for an account" not in browser.text
        token = browser.hidden("_xsrf")
        await browser.get("/hub/signup")
        assert browser.status == 403
        assert "Ask the person who runs this team server" in browser.text
        await browser.post(
            "/hub/signup",
            _xsrf=token,
            username="sneaky",
            password=PASSWORD,
            password_again=PASSWORD,
        )
        assert browser.status == 403
        assert "Ask the person who runs this team server" in browser.text
    store = Store.of(other_hub.deployment)
    await store.open()
    assert await store.accounts.get("sneaky") is None
    await store.close()
