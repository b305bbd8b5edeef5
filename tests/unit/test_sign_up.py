"""Signing up, and files of users."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as some
from teamhub import accounts
from teamhub.accounts import NOTE_LENGTH, Listed, add_users, read_user_file, sign_up
from teamhub.errors import AccountError, RefusedError
from teamhub.store import Store
from teamhub.store.accounts import Account

GOOD = "correct horse battery"


async def signed_up(
    store: Store, name: str, password: str = GOOD, *, note: str = "", limit: int = 10
) -> Account:
    return await sign_up(store, name, password, note=note, minimum_length=10, waiting_limit=limit)


async def test_who_signs_up_waits_with_a_password_of_their_own(store: Store) -> None:
    account = await signed_up(store, " Ada ", note="  Ada of the third floor ")
    assert (account.name, account.waiting, account.one_time, account.admin) == (
        "ada",
        True,
        False,
        False,
    )
    assert account.note == "Ada of the third floor"
    assert await store.accounts.get("ada") == account
    found = await accounts.check(store, "ada", GOOD)
    assert found is not None
    assert found.waiting


@pytest.mark.parametrize(
    ("name", "password", "note", "said"),
    [
        ("../ada", GOOD, "", "cannot be a user name"),
        ("\u0430da", GOOD, "", "cannot be a user name"),
        ("ada", "short", "", "at least 10 characters"),
        ("ada", "x" * 1025, "", "at most 1024"),
        ("ada-of-the-floor", "Ada-Of-The-Floor", "", "should not be the user name"),
        ("ada", GOOD, "x" * (NOTE_LENGTH + 1), f"one line of at most {NOTE_LENGTH}"),
        ("ada", GOOD, "two\nlines", "one line of at most"),
        ("ada", GOOD, "\x1b[31mred", "one line of at most"),
        ("ada", GOOD, "\u202eright to left", "one line of at most"),
        ("ada", GOOD, "\ud800", "one line of at most"),
    ],
)
async def test_what_cannot_be_is_refused_and_nothing_is_added(
    store: Store, name: str, password: str, note: str, said: str
) -> None:
    with pytest.raises(AccountError, match=said):
        await signed_up(store, name, password, note=note)
    assert await store.accounts.all() == []


async def test_a_taken_name_and_a_full_waiting_room(store: Store) -> None:
    await signed_up(store, "ada", limit=1)
    with pytest.raises(AccountError, match="there is a user called 'ada' already"):
        await signed_up(store, "ADA", limit=5)
    with pytest.raises(RefusedError, match="1 accounts wait"):
        await signed_up(store, "bob", limit=1)
    assert [one.name for one in await store.accounts.all()] == ["ada"]


async def test_of_two_with_one_name_one_gets_it(store: Store) -> None:
    told = await asyncio.gather(
        signed_up(store, "ada"), signed_up(store, "Ada"), return_exceptions=True
    )
    assert sorted(type(each).__name__ for each in told) == ["Account", "AccountError"]


def test_a_user_file() -> None:
    text = "\n# the team\n alice admin \r\nBob\n\tcarol\tmember  # of the lab\ndave administrator\n"
    assert read_user_file(text) == [
        Listed("alice", True),
        Listed("bob", False),
        Listed("carol", False),
        Listed("dave", True),
    ]
    assert read_user_file("# nobody\n\n") == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("alice\nbob boss\n", "line 2: 'bob boss' should be a name, or a name and \"admin\""),
        ("alice admin now", "line 1: 'alice admin now' should be"),
        ("alice,admin", "line 1: 'alice,admin' cannot be a user name"),
        ("alice\n\n../bob", "line 3: '../bob' cannot be a user name"),
        ("alice\nbob\nAlice", "line 3: 'alice' is there twice"),
        ("\u0430lice", "line 1: .* cannot be a user name"),
        ("alice\x1bbob", "line 1: 'alice.x1bbob' cannot be"),
        # Characters that str.split() and splitlines() take for blanks and ends of lines.
        ("alice\x1fadmin", "line 1: 'alice.x1fadmin' cannot be"),
        ("alice\x0bbob", "line 1: 'alice.x0bbob' cannot be"),
        ("alice\u2028bob", "line 1: .* cannot be"),
        ("alice\u00a0admin", "line 1: .* cannot be"),
        ("x" * 5000, "line 1: 'x{40}...' cannot be"),
    ],
)
def test_a_wrong_line_is_named(text: str, said: str) -> None:
    with pytest.raises(AccountError, match=said) as raised:
        read_user_file(text)
    assert str(raised.value).isprintable()


@given(some.text(alphabet=some.sampled_from("aAé \t\n\r#\x1f\x00.,/-_admin\u2028"), max_size=60))
def test_a_user_file_is_read_or_refused_in_one_line(text: str) -> None:
    try:
        found = read_user_file(text)
    except AccountError as error:
        assert str(error).startswith("line ")
        assert str(error).isprintable()
        return
    names = [one.name for one in found]
    assert len(set(names)) == len(names)
    assert all(accounts.account_name(name) == name for name in names)
    # Written down as it was understood, it is understood in the same way.
    again = "\n".join(f"{one.name}{' admin' if one.admin else ''}" for one in found)
    assert read_user_file(again) == found


@given(
    some.lists(
        some.tuples(some.from_regex(accounts.NAME_PATTERN, fullmatch=True), some.booleans()),
        unique_by=lambda pair: pair[0],
        max_size=20,
    )
)
def test_what_is_written_is_what_is_read(listed: list[tuple[str, bool]]) -> None:
    text = "\n".join(f"{name} {'admin' if admin else 'member'} # {name}" for name, admin in listed)
    assert read_user_file(text) == [Listed(name, admin) for name, admin in listed]


async def test_who_is_there_already_is_left_as_they_are(store: Store) -> None:
    await accounts.add_user(store, "bob", admin=True)
    bob = await store.accounts.get("bob")
    told: list[int] = []
    added, there = await add_users(
        store,
        [Listed("ada", True), Listed("bob", False), Listed("eve", False)],
        progress=told.append,
    )
    assert [(one.name, one.admin) for one in added] == [("ada", True), ("eve", False)]
    assert (list(there), told) == (["bob"], [1, 2])
    assert await store.accounts.get("bob") == bob
    for one in added:
        account = await accounts.check(store, one.name, one.one_time_password)
        assert account is not None
        assert (account.one_time, account.admin) == (True, one.admin)


async def test_all_of_a_file_or_none(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another administrator is quicker, after we have looked who is there."""
    look = store.accounts.all

    async def looked_before() -> list[Account]:
        found = list(await look())
        await store.accounts.add("eve", "h", one_time=False, admin=False)
        return found

    monkeypatch.setattr(store.accounts, "all", looked_before)
    with pytest.raises(AccountError, match="there is a user called 'eve' already"):
        await add_users(store, [Listed("ada", False), Listed("eve", False)])
    assert [one.name for one in await look()] == ["eve"]
