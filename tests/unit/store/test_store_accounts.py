"""Accounts in the store: approval, roles, removal, and two who ask at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from teamhub.errors import AccountError, NotFoundError, RefusedError
from teamhub.store import Store
from teamhub.store.accounts import Account, Arrival

OpenStore = Callable[[], Awaitable[Store]]


async def added(store: Store, name: str, *, admin: bool = False, waiting: bool = False) -> Account:
    return await store.accounts.add(name, "hash", one_time=False, admin=admin, waiting=waiting)


async def names(store: Store) -> list[str]:
    return [account.name for account in await store.accounts.all()]


async def test_who_waits_is_approved_once(store: Store) -> None:
    await added(store, "ada", waiting=True)
    await store.accounts.approve("ada")
    account = await store.accounts.get("ada")
    assert account is not None
    assert not account.waiting
    for name in ("ada", "nobody"):
        with pytest.raises(NotFoundError, match=f"nobody called '{name}' waits for approval"):
            await store.accounts.approve(name)


async def test_of_two_who_decide_at_once_one_is_told_that_it_is_done(
    open_store: OpenStore,
) -> None:
    one, two = await open_store(), await open_store()
    await added(one, "ada", waiting=True)
    told = await asyncio.gather(
        one.accounts.approve("ada"),
        two.accounts.remove("ada", only_waiting=True),
        return_exceptions=True,
    )
    assert sorted(type(each).__name__ for each in told) == ["NoneType", "NotFoundError"]
    # Whoever was first has it: approved and there, or declined and gone.
    assert (await names(one) == ["ada"]) is (told[0] is None)


async def test_declining_leaves_those_who_are_in(store: Store) -> None:
    await added(store, "ada")
    await added(store, "root", admin=True)
    for name in ("ada", "root", "nobody"):
        with pytest.raises(NotFoundError, match=f"nobody called '{name}' waits for approval"):
            await store.accounts.remove(name, only_waiting=True)
    assert await names(store) == ["ada", "root"]


async def test_only_so_many_may_wait(store: Store) -> None:
    for name in ("ada", "bob"):
        await store.accounts.add(
            name, "hash", one_time=False, admin=False, waiting=True, waiting_limit=2
        )
    with pytest.raises(RefusedError, match="2 accounts wait for approval already"):
        await store.accounts.add(
            "eve", "hash", one_time=False, admin=False, waiting=True, waiting_limit=2
        )
    assert await names(store) == ["ada", "bob"]
    # Those whom an administrator adds do not wait, and do not count.
    await added(store, "carol")
    await store.accounts.approve("ada")
    await store.accounts.add(
        "eve", "hash", one_time=False, admin=False, waiting=True, waiting_limit=2
    )


async def test_the_limit_holds_for_many_at_once(open_store: OpenStore) -> None:
    stores = [await open_store() for _ in range(3)]
    told = await asyncio.gather(
        *(
            store.accounts.add(
                f"user-{number}", "h", one_time=False, admin=False, waiting=True, waiting_limit=2
            )
            for number, store in enumerate(stores * 2)
        ),
        return_exceptions=True,
    )
    assert sum(isinstance(each, Account) for each in told) == 2
    assert sum(isinstance(each, RefusedError) for each in told) == 4


async def test_roles(store: Store) -> None:
    await added(store, "root", admin=True)
    await added(store, "ada")
    for _ in range(2):
        await store.accounts.set_admin("ada", True)
    assert [one.admin for one in await store.accounts.all()] == [True, True]
    for _ in range(2):
        await store.accounts.set_admin("root", False)
    with pytest.raises(RefusedError, match="ada is the only administrator"):
        await store.accounts.set_admin("ada", False)
    assert [one.admin for one in await store.accounts.all()] == [True, False]


async def test_nobody_who_waits_is_made_an_administrator(store: Store) -> None:
    await added(store, "ada", waiting=True)
    for name in ("ada", "nobody"):
        with pytest.raises(NotFoundError, match=f"there is no user called '{name}'"):
            await store.accounts.set_admin(name, True)
    (ada,) = await store.accounts.all()
    assert not ada.admin


async def test_the_last_administrator_stays(store: Store) -> None:
    await added(store, "root", admin=True)
    await added(store, "ada")
    # One who waits is none, whatever the row says.
    await added(store, "later", admin=True, waiting=True)
    with pytest.raises(RefusedError, match=r"root is the only administrator.*users role"):
        await store.accounts.remove("root")
    assert await names(store) == ["ada", "later", "root"]
    await store.accounts.set_admin("ada", True)
    await store.accounts.remove("root")
    assert await names(store) == ["ada", "later"]


@pytest.mark.parametrize("how", ["remove", "demote"])
async def test_of_two_administrators_who_go_at_once_one_stays(
    open_store: OpenStore, how: str
) -> None:
    one, two = await open_store(), await open_store()
    await added(one, "root", admin=True)
    await added(one, "toor", admin=True)

    def go(store: Store, name: str) -> Awaitable[None]:
        if how == "remove":
            return store.accounts.remove(name)
        return store.accounts.set_admin(name, False)

    told = await asyncio.gather(go(one, "root"), go(two, "toor"), return_exceptions=True)
    assert sorted(type(each).__name__ for each in told) == ["NoneType", "RefusedError"]
    assert sum(account.admin for account in await one.accounts.all()) == 1


async def test_a_number_is_never_given_twice(store: Store) -> None:
    first = await added(store, "ada")
    second = await added(store, "bob")
    await store.accounts.remove("bob")
    third = await added(store, "bob")
    assert first.number < second.number < third.number
    # Also where nobody is left, and where one who has an older number goes.
    await store.accounts.remove("bob")
    await store.accounts.remove("ada")
    assert await names(store) == []
    fourth = await added(store, "ada")
    assert fourth.number > third.number
    (eve,) = await store.accounts.add_all([Arrival("eve", "h", False)])
    assert eve.number > fourth.number


async def test_removing_nobody(store: Store) -> None:
    with pytest.raises(NotFoundError, match="nobody called 'ada' has an account"):
        await store.accounts.remove("ada")


async def test_many_are_added_or_none(store: Store) -> None:
    await added(store, "bob")
    arrivals = [Arrival(name, "h", name == "root") for name in ("ada", "bob", "root")]
    with pytest.raises(AccountError, match="there is a user called 'bob' already"):
        await store.accounts.add_all(arrivals)
    assert await names(store) == ["bob"]
    made = await store.accounts.add_all([arrivals[0], arrivals[2]])
    assert [(one.name, one.admin, one.one_time, one.waiting) for one in made] == [
        ("ada", False, True, False),
        ("root", True, True, False),
    ]
    assert await store.accounts.get("root") == made[1]
    assert len({one.number for one in await store.accounts.all()}) == 3
    assert await store.accounts.add_all([]) == []
