"""Signing in over HTTP, through the proxy."""

from __future__ import annotations

import pytest
from hub_standins import Browser, RunningHub
from teamhub import accounts
from teamhub.logs.lines import Origin, parse
from teamhub.store import Store

pytestmark = pytest.mark.node

PASSWORD = "correct horse battery ß"


async def test_one_time_password_is_replaced_before_anybody_is_signed_in(
    store: Store, browser: Browser
) -> None:
    given = await accounts.add_user(store, "alice", admin=False)
    await browser.sign_in("Alice", given)
    assert browser.status == 200
    assert "Choose a new password" in browser.text
    assert "At least 10 characters" in browser.text
    assert given not in browser.text
    assert not await browser.is_signed_in()

    await browser.submit(new_password=PASSWORD, new_password_again="something else")
    assert (browser.status, "not the same" in browser.text) == (400, True)
    await browser.submit(new_password="short", new_password_again="short")
    assert (browser.status, "at least 10 characters" in browser.text) == (400, True)
    await browser.submit(new_password=given, new_password_again=given)
    assert (browser.status, "the one that you have now" in browser.text) == (400, True)
    assert not await browser.is_signed_in()

    ticket = browser.hidden("ticket")
    form = browser.text
    await browser.submit(new_password=PASSWORD, new_password_again=PASSWORD)
    assert (browser.status, browser.path) == (200, "/hub/home")
    assert await browser.is_signed_in()

    # The ticket was bound to the password that is gone.
    async with Browser(browser.url) as other:
        await other.sign_in("alice", given)
        assert (other.status, "Wrong user name or password" in other.text) == (403, True)
        await other.submit(
            ticket=ticket, new_password="another password", new_password_again="another password"
        )
        assert (other.status, "This page has expired" in other.text) == (403, True)
        await other.sign_in("alice", PASSWORD)
        assert (other.status, other.path) == (200, "/hub/home")
    assert ticket in form


async def test_forged_ticket_is_refused(store: Store, browser: Browser) -> None:
    await accounts.add_user(store, "forger", admin=False)
    await browser.get("/hub/login")
    await browser.submit(
        ticket='["forger", "…"]', new_password=PASSWORD, new_password_again=PASSWORD
    )
    assert browser.status == 403
    assert not await browser.is_signed_in()
    account = await store.accounts.get("forger")
    assert account is not None
    assert account.one_time


async def test_new_password_needs_the_pages_own_token(store: Store, browser: Browser) -> None:
    given = await accounts.add_user(store, "crossed", admin=False)
    await browser.sign_in("crossed", given)
    await browser.submit(_xsrf="no", new_password=PASSWORD, new_password_again=PASSWORD)
    assert browser.status == 403
    account = await store.accounts.get("crossed")
    assert account is not None
    assert account.one_time


async def test_wrong_password_and_unknown_user_look_alike(store: Store, browser: Browser) -> None:
    await accounts.add_user(store, "bob", admin=False)
    await browser.sign_in("bob", "not his password")
    known = (browser.status, browser.text.count("Wrong user name or password"))
    await browser.sign_in("nobody", "not his password")
    assert known == (browser.status, browser.text.count("Wrong user name or password"))
    assert known == (403, 1)
    for name in ("", "../bob", "bob/x", "böb", "a" * 33, "\u212aarl"):
        await browser.sign_in(name, "x")
        assert browser.status in {400, 403}, name
    assert not await browser.is_signed_in()


async def test_guessing_is_slowed_down(store: Store, browser: Browser) -> None:
    password = await accounts.add_user(store, "guessed", admin=False)
    for _ in range(5):
        await browser.sign_in("guessed", "wrong")
        assert browser.status == 403
    # Each of them may have taken longer than the first waits; the later ones are longer.
    for _ in range(10):
        await browser.sign_in("guessed", password if browser.status == 429 else "wrong")
        if browser.status == 429:
            break
    await browser.sign_in("guessed", password)
    assert browser.status == 429
    assert "Too many failed attempts" in browser.text
    assert int(browser.headers["Retry-After"]) >= 1
    # Somebody else is not kept waiting.
    await accounts.add_user(store, "innocent", admin=False)
    await browser.sign_in("innocent", "wrong")
    assert browser.status == 403


async def test_no_header_of_a_client_is_a_way_around_it(store: Store, browser: Browser) -> None:
    await accounts.add_user(store, "mallory", admin=False)
    statuses = []
    for attempt in range(20):
        forged = f"198.51.100.{attempt}"
        headers = {"X-Real-Ip": forged, "X-Forwarded-For": forged}
        async with Browser(browser.url, headers, browser.address) as guesser:
            await guesser.sign_in("mallory", "wrong")
            # Refused for its password, and not because the page's own token was not accepted.
            assert guesser.status == 429 or "Wrong user name or password" in guesser.text
            statuses.append(guesser.status)
    assert statuses[:5] == [403] * 5
    assert 429 in statuses


async def test_new_password_ends_what_others_have_signed_in_to(
    store: Store, browser: Browser
) -> None:
    given = await accounts.add_user(store, "stolen", admin=False)
    await browser.sign_in("stolen", given)
    await browser.submit(new_password=PASSWORD, new_password_again=PASSWORD)
    assert await browser.is_signed_in()
    again = await accounts.reset_password(store, "stolen")
    async with Browser(browser.url) as owner:
        await owner.sign_in("stolen", again)
        await owner.submit(new_password=f"{PASSWORD}!", new_password_again=f"{PASSWORD}!")
        assert await owner.is_signed_in()
    assert not await browser.is_signed_in()


async def test_reset_password_ends_the_old_one(store: Store, browser: Browser) -> None:
    given = await accounts.add_user(store, "carol", admin=False)
    await browser.sign_in("carol", given)
    await browser.submit(new_password=PASSWORD, new_password_again=PASSWORD)
    again = await accounts.reset_password(store, "carol")
    async with Browser(browser.url) as other:
        await other.sign_in("carol", PASSWORD)
        assert other.status == 403
        await other.sign_in("carol", again)
        assert "Choose a new password" in other.text


async def test_hub_begins_without_warnings_but_those_that_cannot_be_helped(
    hub: RunningHub,
) -> None:
    start = hub.log().split("JupyterHub is now running")[0]
    told = {
        "Allowing service gateway to complete OAuth without confirmation",
        "Adding missing route for gateway",
    }
    lines = [parse(line.encode(), Origin("hub")) for line in start.splitlines()]
    assert any(line.level == "info" for line in lines)
    for line in lines:
        if line.level in {"warning", "error", "critical"}:
            assert any(words in line.message for words in told), line
