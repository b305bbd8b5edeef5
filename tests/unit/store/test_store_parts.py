"""Accounts, sessions, waiting messages, facts, lease: each sentence of theirs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from teamhub.errors import AccountError, DeposedError, NotFoundError, RefusedError
from teamhub.model import Kind, Node, Workload
from teamhub.store import Store
from teamhub.store.sessions import Session
from teamhub.store.waiting import pack, unpack


async def kernel(store: Store, owner: str = "ada") -> Workload:
    return await store.workloads.add(Kind.KERNEL, owner, "python3", environment="python3")


# Accounts


async def test_accounts_have_a_number_each(open_store: Any) -> None:
    stores = [await open_store(), await open_store()]
    names = [f"user{n:02}" for n in range(12)]
    await asyncio.gather(
        *(
            stores[n % 2].accounts.add(name, "hash", one_time=True, admin=n == 0)
            for n, name in enumerate(names)
        )
    )
    accounts = await stores[1].accounts.all()
    assert [account.name for account in accounts] == names
    assert sorted(account.number for account in accounts) == list(range(1, 13))
    assert [account.admin for account in accounts] == [True] + [False] * 11


async def test_an_account_name_is_taken_once(store: Store) -> None:
    added = await store.accounts.add("ada", "hash", one_time=True, admin=False)
    assert await store.accounts.get("ada") == added
    assert await store.accounts.get("Ada") is None
    with pytest.raises(AccountError, match="a user called 'ada' already"):
        await store.accounts.add("ada", "other", one_time=False, admin=True)
    assert await store.accounts.get("ada") == added


async def test_setting_a_password(store: Store) -> None:
    await store.accounts.add("ada", "old", one_time=True, admin=False)
    await store.accounts.set_password("ada", "new", one_time=False)
    found = await store.accounts.get("ada")
    assert found is not None
    assert (found.password_hash, found.one_time) == ("new", False)
    with pytest.raises(NotFoundError, match="no user called 'bob'"):
        await store.accounts.set_password("bob", "x", one_time=False)


# Sessions


async def test_a_session_takes_the_path_of_one_whose_kernel_has_ended(store: Store) -> None:
    # As after `teamhub down`: JupyterLab opens the notebook with a session of another path first.
    old, new = await kernel(store), await kernel(store)
    before = await store.sessions.add("ada", "a.ipynb", "", "notebook", old.id)
    fresh = await store.sessions.add("ada", "somewhere-else", "", "notebook", new.id)
    with pytest.raises(RefusedError, match=r"a session at 'a\.ipynb' already"):
        await store.sessions.change("ada", fresh.id, path="a.ipynb")
    await store.workloads.want_stopped(old.id)
    changed = await store.sessions.change("ada", fresh.id, path="a.ipynb")
    assert (changed.path, changed.kernel_id) == ("a.ipynb", new.id)
    assert await store.sessions.get("ada", before.id) is None


async def test_two_that_open_a_path_at_once_get_one_session(open_store: Any) -> None:
    stores = [await open_store(), await open_store()]
    kernels = [await kernel(stores[0]) for _ in range(6)]
    sessions = await asyncio.gather(
        *(
            stores[n % 2].sessions.add("ada", "a.ipynb", "a", "notebook", each.id)
            for n, each in enumerate(kernels)
        )
    )
    assert len(set(sessions)) == 1
    assert await stores[0].sessions.of("ada") == [sessions[0]]


async def test_sessions_belong_to_their_owner(store: Store) -> None:
    mine = await store.sessions.add("ada", "a", "", "notebook", (await kernel(store)).id)
    theirs = await store.sessions.add("bob", "a", "", "notebook", (await kernel(store, "bob")).id)
    assert mine != theirs
    assert await store.sessions.get("ada", mine.id) == mine
    assert await store.sessions.get("bob", mine.id) is None
    assert await store.sessions.at("bob", "a") == theirs
    assert await store.sessions.at("bob", "b") is None
    with pytest.raises(NotFoundError):
        await store.sessions.change("bob", mine.id, path="x")
    await store.sessions.delete("bob", mine.id)
    assert await store.sessions.of("ada") == [mine]
    await store.sessions.delete("ada", mine.id)
    await store.sessions.delete("ada", mine.id)
    assert await store.sessions.of("ada") == []


async def test_a_session_of_a_kernel_that_shall_stop_is_not_listed(store: Store) -> None:
    row = await kernel(store)
    session = await store.sessions.add("ada", "a", "", "notebook", row.id)
    await store.workloads.want_stopped(row.id)
    assert await store.sessions.of("ada") == []
    assert await store.sessions.at("ada", "a") == session


async def test_changing_a_session(store: Store) -> None:
    first, second = await kernel(store), await kernel(store)
    session = await store.sessions.add("ada", "a", "n", "notebook", first.id)
    await store.sessions.add("ada", "b", "", "console", first.id)
    changed = await store.sessions.change("ada", session.id, path="c", kernel_id=second.id)
    assert changed == Session(session.id, "ada", "c", "n", "notebook", second.id)
    assert await store.sessions.change("ada", session.id) == changed
    with pytest.raises(RefusedError, match="a session at 'b' already"):
        await store.sessions.change("ada", session.id, path="b")
    with pytest.raises(NotFoundError):
        await store.sessions.change("ada", session.id, kernel_id="nobody")
    assert await store.sessions.get("ada", session.id) == changed


async def test_a_session_needs_a_kernel(store: Store) -> None:
    with pytest.raises(NotFoundError, match="the kernel nobody is gone"):
        await store.sessions.add("ada", "a", "", "notebook", "nobody")


async def test_forgetting_the_sessions_of_a_kernel(store: Store) -> None:
    first, second = await kernel(store), await kernel(store)
    for path, row in (("a", first), ("b", first), ("c", second)):
        await store.sessions.add("ada", path, "", "notebook", row.id)
    await store.sessions.delete_of_kernel(first.id)
    assert [session.path for session in await store.sessions.of("ada")] == ["c"]


# Waiting messages


async def put(store: Store, row: Workload, msg_id: str, frames: list[bytes], **more: int) -> None:
    limits = {"limit_messages": 3, "limit_bytes": 1000, **more}
    await store.waiting.add(row.id, msg_id, "shell", frames, **limits)


async def test_messages_wait_in_order_and_once(store: Store) -> None:
    row, other = await kernel(store), await kernel(store)
    await put(store, row, "1", [b"header", b"", b"\x00\xff"])
    await put(store, row, "2", [b"second"])
    await put(store, row, "1", [b"again"])
    await put(store, other, "1", [b"other"])
    found = await store.waiting.of(row.id)
    assert [(m.msg_id, m.channel, m.frames) for m in found] == [
        ("1", "shell", [b"header", b"", b"\x00\xff"]),
        ("2", "shell", [b"second"]),
    ]
    await store.waiting.delete(row.id, found[0].number)
    assert [m.msg_id for m in await store.waiting.of(row.id)] == ["2"]
    assert len(await store.waiting.of(other.id)) == 1


async def test_the_bounds(store: Store) -> None:
    row = await kernel(store)
    with pytest.raises(RefusedError):
        await put(store, row, "0", [b"x" * 1000])
    assert await store.waiting.of(row.id) == []
    for n in range(3):
        await put(store, row, str(n), [b"x"])
    with pytest.raises(RefusedError, match=r"3 messages .* wait for this kernel already"):
        await put(store, row, "3", [b"x"])
    await put(store, row, "2", [b"x"])  # waits already: nothing more has to be kept
    assert [m.msg_id for m in await store.waiting.of(row.id)] == ["0", "1", "2"]
    await put(store, await kernel(store), "3", [b"x"])


async def test_the_bound_holds_against_two_processes(open_store: Any) -> None:
    stores = [await open_store(), await open_store()]
    row = await kernel(stores[0])
    answers = await asyncio.gather(
        *(put(stores[n % 2], row, str(n), [b"x"]) for n in range(12)), return_exceptions=True
    )
    assert sum(answer is None for answer in answers) == 3
    assert all(answer is None or isinstance(answer, RefusedError) for answer in answers)
    assert len(await stores[1].waiting.of(row.id)) == 3


async def test_a_number_is_never_used_again(store: Store) -> None:
    """Else whoever forgets what it has delivered could forget what came later."""
    row = await kernel(store)
    await put(store, row, "1", [b"x"])
    (first,) = await store.waiting.of(row.id)
    await store.waiting.delete(row.id, first.number)
    await put(store, row, "2", [b"y"])
    await store.waiting.delete(row.id, first.number)
    assert [m.msg_id for m in await store.waiting.of(row.id)] == ["2"]


@given(st.lists(st.binary(max_size=64), max_size=9))
def test_frames_survive_packing(frames: list[bytes]) -> None:
    assert unpack(pack(frames)) == frames


# Facts


async def test_facts_are_seen_by_another_process(open_store: Any) -> None:
    one, other = await open_store(), await open_store()
    assert await other.facts.kernel_info("ada", "python3") is None
    await one.facts.learn("ada", "python3", {"banner": "1"})
    assert await other.facts.kernel_info("ada", "python3") == {"banner": "1"}
    await one.facts.learn("ada", "python3", {"banner": "2"})
    assert await one.facts.kernel_info("ada", "python3") == {"banner": "2"}
    assert await (await open_store()).facts.kernel_info("ada", "python3") == {"banner": "2"}
    assert await one.facts.kernel_info("ada", "r") is None


async def test_facts_of_one_members_kernels_are_told_to_nobody_else(open_store: Any) -> None:
    store = await open_store()
    await store.facts.learn("mallory", "python3", {"banner": "<script>"})
    assert await store.facts.kernel_info("ada", "python3") is None
    await store.facts.learn("ada", "python3", {"banner": "mine"})
    assert await (await open_store()).facts.kernel_info("ada", "python3") == {"banner": "mine"}
    await store.facts.learn("ada", "python3", {"banner": "x" * 2**16})
    assert await store.facts.kernel_info("ada", "python3") == {"banner": "mine"}


async def test_learning_at_once_in_two_processes(open_store: Any) -> None:
    stores = [await open_store(), await open_store()]
    await asyncio.gather(
        *(stores[n % 2].facts.learn("ada", "python3", {"banner": str(n)}) for n in range(8))
    )
    assert await (await open_store()).facts.kernel_info("ada", "python3") is not None


# The lease


async def test_the_lease_has_one_holder(open_store: Any) -> None:
    stores = [await open_store(), await open_store()]
    assert await stores[0].lease.held() is None
    epochs = await asyncio.gather(*(stores[n % 2].lease.take(f"d{n}", 60) for n in range(8)))
    assert [epoch for epoch in epochs if epoch is not None] == [1]
    held = await stores[1].lease.held()
    assert held is not None
    assert (held.holder, held.epoch) == (f"d{epochs.index(1)}", 1)


async def test_epochs_rise_and_the_deposed_are_told(open_store: Any) -> None:
    one, other = await open_store(), await open_store()
    first = await one.lease.take("one", 60)
    await one.lease.beat(first)
    assert await other.lease.take("other", 60) is None
    second = await other.lease.take("other", 0)
    assert second > first
    with pytest.raises(DeposedError):
        await one.lease.beat(first)
    await one.lease.release(first)
    held = await one.lease.held()
    assert (held.holder, held.epoch) == ("other", second)


async def test_a_beat_is_seen(store: Store) -> None:
    epoch = await store.lease.take("one", 60)
    assert epoch is not None
    before = await store.lease.held()
    await store.lease.beat(epoch)
    after = await store.lease.held()
    assert before is not None
    assert after is not None
    assert after.heartbeat_at > before.heartbeat_at


async def test_a_released_lease_is_free_at_once(open_store: Any) -> None:
    one, other = await open_store(), await open_store()
    first = await one.lease.take("one", 60)
    with other.subscribe() as wakes:
        await one.lease.release(first)
        assert await wakes.wait(5), "whoever waits for the lease is told"
    assert await other.lease.take("other", 60) == first + 1


async def test_a_refused_lease_wakes_nobody(store: Store) -> None:
    """Else whoever waits for the lease would wake itself, for ever."""
    await store.lease.take("one", 60)
    with store.subscribe() as wakes:
        assert await store.lease.take("other", 60) is None
        assert not await wakes.wait(0.01)


# Nodes


async def test_nodes_are_what_the_active_dispatcher_saw_last(open_store: Any) -> None:
    writer, reader = await open_store(), await open_store()
    assert await reader.nodes.all() == []
    epoch = await writer.lease.take("one", 0)
    nodes = [Node("a", 4.0, 2**33), Node("b", 2.0, 2**32, ready=False, detail="away")]
    await writer.nodes.note(nodes, epoch)
    await writer.nodes.note(nodes, epoch)
    assert await reader.nodes.all() == nodes
    assert await reader.lease.take("two", 0) == epoch + 1
    await writer.nodes.note([], epoch)
    assert await reader.nodes.all() == nodes
