"""One's own account page."""

from __future__ import annotations

import pytest
from hub_standins import PASSWORD, Browser, RunningHub, first_sign_in
from teamhub.store import Store

pytestmark = pytest.mark.node

NEW = "a new password of mine"


async def change(browser: Browser, current: str, new: str, again: str) -> None:
    await browser.get("/hub/account")
    await browser.submit(current_password=current, new_password=new, new_password_again=again)


async def test_it_says_who_one_is(store: Store, browser: Browser) -> None:
    await browser.get("/hub/account")
    assert browser.path == "/hub/login"
    await first_sign_in(store, browser, "ines", admin=True)
    await browser.get("/hub/account")
    for words in ("ines", "Administrator", "Groups", "Member since"):
        assert words in browser.text


async def test_a_new_password_signs_out_every_other_browser(store: Store, browser: Browser) -> None:
    await first_sign_in(store, browser, "jon")
    async with Browser(browser.url) as other:
        await other.sign_in("jon", PASSWORD)
        assert await other.is_signed_in()
        await change(browser, PASSWORD, NEW, NEW)
        assert (browser.status, browser.path) == (200, "/hub/account")
        assert "Your password has been changed" in browser.text
        assert await browser.is_signed_in()
        assert not await other.is_signed_in()
        await other.sign_in("jon", PASSWORD)
        assert other.status == 403
        await other.sign_in("jon", NEW)
        assert await other.is_signed_in()


async def test_what_is_wrong_is_said_and_changes_nothing(store: Store, browser: Browser) -> None:
    await first_sign_in(store, browser, "kim")
    before = await store.accounts.get("kim")
    for current, new, again, words in (
        ("", NEW, NEW, "Enter the password that you have now"),
        ("not it", NEW, NEW, "This is not the password that you have now"),
        (PASSWORD, "", "", "Choose a new password"),
        (PASSWORD, NEW, "another", "The two new passwords are not the same"),
        (PASSWORD, "short", "short", "at least 10 characters"),
        (PASSWORD, PASSWORD, PASSWORD, "not be the one that you have now"),
    ):
        await change(browser, current, new, again)
        assert (browser.status, words in browser.text) == (400, True), words
        assert await browser.is_signed_in()
    assert await store.accounts.get("kim") == before


async def test_guessing_the_present_password_is_slowed_down(store: Store, browser: Browser) -> None:
    await first_sign_in(store, browser, "lea")
    statuses = set()
    for _ in range(20):
        await change(browser, "a guess", NEW, NEW)
        statuses.add(browser.status)
    assert statuses == {400, 429}


async def test_it_needs_the_pages_own_token(store: Store, browser: Browser) -> None:
    await first_sign_in(store, browser, "mia")
    before = await store.accounts.get("mia")
    await browser.get("/hub/account")
    await browser.submit(
        _xsrf="no", current_password=PASSWORD, new_password=NEW, new_password_again=NEW
    )
    assert browser.status == 403
    assert "This page was open for too long" in browser.text
    assert await store.accounts.get("mia") == before


async def test_signing_out_says_so(hub: RunningHub, store: Store, browser: Browser) -> None:
    await first_sign_in(store, browser, "noa")
    await browser.get("/hub/logout")
    assert browser.status == 200
    assert "You have signed out" in browser.text
    assert not await browser.is_signed_in()
