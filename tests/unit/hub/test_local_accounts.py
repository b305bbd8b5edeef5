"""Account names, passwords, and what becomes of them in the store."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some
from teamhub import accounts
from teamhub.errors import AccountError, NotFoundError, RefusedError
from teamhub.store import Store
from teamhub.store.migrate import upgrade

MINIMUM = 10
GOOD = "Grüße aus 東京 🗼 "


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    url = f"sqlite+aiosqlite:///{tmp_path / 'store.sqlite'}"
    await upgrade(url)
    store = Store(url, tmp_path / "wake")
    await store.open(listen=False)
    yield store
    await store.close()


@pytest.mark.parametrize(
    ("text", "name"),
    [("alice", "alice"), (" Alice\n", "alice"), ("7of9", "7of9"), ("a.b_c-d", "a.b_c-d")],
)
def test_names_that_can_be(text: str, name: str) -> None:
    assert accounts.account_name(text) == name


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", ".", "..", "-a", "_a", ".a", "a b", "a/b", "a\x00b", "a\nb", "a" * 33),
        *("ä", "\u0430lice", "alice%2f", "a@b"),
        # The Kelvin sign and the dotted I, of which lower() makes ASCII letters.
        *("\u212aarl", "\u0130da"),
    ],
)
def test_names_that_cannot_be(text: str) -> None:
    with pytest.raises(AccountError, match="cannot be a user name"):
        accounts.account_name(text)


@given(some.text(max_size=40))
def test_a_name_is_safe_or_refused(text: str) -> None:
    try:
        name = accounts.account_name(text)
    except AccountError:
        return
    assert re.fullmatch("[a-z0-9][a-z0-9._-]{0,31}", name)
    assert name == accounts.account_name(name)


def test_one_time_passwords_are_readable_and_long_enough() -> None:
    made = {accounts.one_time_password() for _ in range(1000)}
    assert len(made) == 1000
    assert all(re.fullmatch("[a-hjkmnp-z2-9]{4}(-[a-hjkmnp-z2-9]{4}){3}", one) for one in made)
    letters = {letter for one in made for letter in one} - {"-"}
    assert 16 * math.log2(len(letters)) > 79


async def test_the_life_of_a_password(store: Store) -> None:
    given_out = await accounts.add_user(store, "Alice", admin=True)
    account = await accounts.check(store, "ALICE", given_out)
    assert account is not None
    assert (account.name, account.one_time, account.admin) == ("alice", True, True)
    assert given_out not in account.password_hash

    await accounts.change_password(store, account, GOOD, minimum_length=MINIMUM)
    assert await accounts.check(store, "alice", given_out) is None
    changed = await accounts.check(store, "alice", GOOD)
    assert changed is not None
    assert not changed.one_time

    again = await accounts.reset_password(store, "alice")
    assert await accounts.check(store, "alice", GOOD) is None
    reset = await accounts.check(store, "alice", again)
    assert reset is not None
    assert reset.one_time


async def test_the_same_text_from_another_keyboard_is_the_same_password(store: Store) -> None:
    await accounts.add_user(store, "alice", admin=False)
    account = await store.accounts.get("alice")
    assert account is not None
    composed = unicodedata.normalize("NFC", "ångström long")
    await accounts.change_password(store, account, composed, minimum_length=MINIMUM)
    assert await accounts.check(store, "alice", unicodedata.normalize("NFD", composed))


@pytest.mark.parametrize(
    ("password", "fault"),
    [
        ("short", "at least 10"),
        ("x" * 1025, "at most 1024"),
        ("\ud800 half a character", "cannot be stored"),
        ("ALICE-THE-GREAT", "should not be the user name"),
    ],
)
async def test_passwords_that_break_a_rule(store: Store, password: str, fault: str) -> None:
    await accounts.add_user(store, "alice-the-great", admin=False)
    account = await store.accounts.get("alice-the-great")
    assert account is not None
    with pytest.raises(AccountError, match=fault):
        await accounts.change_password(store, account, password, minimum_length=MINIMUM)
    assert await store.accounts.get("alice-the-great") == account


async def test_the_present_password_is_no_new_one(store: Store) -> None:
    password = await accounts.add_user(store, "alice", admin=False)
    account = await store.accounts.get("alice")
    assert account is not None
    with pytest.raises(AccountError, match="the one that you have now"):
        await accounts.change_password(store, account, password, minimum_length=MINIMUM)


async def test_a_change_from_an_older_password_is_refused(store: Store) -> None:
    await accounts.add_user(store, "alice", admin=False)
    older = await store.accounts.get("alice")
    assert older is not None
    newest = await accounts.reset_password(store, "alice")
    with pytest.raises(RefusedError):
        await accounts.change_password(store, older, GOOD, minimum_length=MINIMUM)
    assert await accounts.check(store, "alice", newest)


async def test_nobody_gets_in_without_the_password(store: Store) -> None:
    await accounts.add_user(store, "alice", admin=False)
    for name, password in (
        ("alice", ""),
        ("alice", "x"),
        ("alice", "x" * 10_000_000),
        ("alice", "\ud800"),
        ("nobody", "x"),
        ("../alice", "x"),
    ):
        assert await accounts.check(store, name, password) is None


async def test_a_name_is_given_once_and_only_a_known_one_is_reset(store: Store) -> None:
    await accounts.add_user(store, "alice", admin=False)
    with pytest.raises(AccountError, match="already"):
        await accounts.add_user(store, "ALICE", admin=False)
    with pytest.raises(NotFoundError):
        await accounts.reset_password(store, "bob")
