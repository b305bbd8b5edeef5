"""The database itself: versions, damage, wake-ups, many writers."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine
from teamhub.errors import RefusedError, StoreError
from teamhub.model import Kind
from teamhub.store import Store, migrate
from teamhub.store.migrate import upgrade
from teamhub.store.schema import VERSION, metadata
from teamhub.store.wake import Wake


def test_the_version_that_the_code_expects_is_the_newest_migration() -> None:
    assert ScriptDirectory(str(Path(migrate.__file__).parent / "migrations")).get_heads() == [
        VERSION
    ]


def url_of(path: Path) -> str:
    return f"sqlite+aiosqlite:///{path}"


def one_line(error: pytest.ExceptionInfo[StoreError], part: str) -> None:
    assert "\n" not in str(error.value)
    assert part in str(error.value)


def differences(connection: Connection) -> list[Any]:
    options = {"compare_type": True}
    return compare_metadata(MigrationContext.configure(connection, opts=options), metadata)


def test_the_migrations_build_what_the_schema_says(migrated: Path) -> None:
    engine = create_engine(f"sqlite:///{migrated}")
    with engine.connect() as connection:
        assert differences(connection) == []
    engine.dispose()
    fresh = create_engine("sqlite://")
    metadata.create_all(fresh)
    assert sql_of(fresh.raw_connection()) == sql_of(sqlite3.connect(migrated))
    fresh.dispose()


def sql_of(connection: Any) -> dict[str, set[str]]:
    """Partial indexes and AUTOINCREMENT are not compared by Alembic."""
    rows = connection.cursor().execute(
        "select name, sql from sqlite_master where sql is not null and name not like 'sqlite_%'"
    )
    found = {name: set(sql.upper().replace(",", " ").split()) for name, sql in rows}
    connection.close()
    found.pop("alembic_version", None)
    return found


async def test_upgrading_twice_and_two_at_once(deployment_dir: Path) -> None:
    path = deployment_dir / "new.sqlite"
    await asyncio.gather(*(upgrade(url_of(path)) for _ in range(3)))
    await upgrade(url_of(path))
    store = Store(url_of(path), deployment_dir / "w")
    await store.open()
    assert await store.workloads.all() == []
    await store.close()
    await store.close()


async def test_a_newer_database_is_refused_and_left_alone(deployment_dir: Path) -> None:
    path = deployment_dir / "teamhub.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("update alembic_version set version_num = '9999'")
    connection.close()
    with pytest.raises(StoreError) as error:
        await upgrade(url_of(path))
    one_line(error, "is at version 9999, which is newer than this teamhub")
    store = Store(url_of(path), deployment_dir / "w")
    with pytest.raises(StoreError) as error:
        await store.open()
    one_line(error, f"this teamhub needs {VERSION}")
    await store.close()
    connection = sqlite3.connect(path)
    assert connection.execute("select version_num from alembic_version").fetchall() == [("9999",)]
    connection.close()


async def test_an_empty_database_says_who_makes_it(deployment_dir: Path) -> None:
    store = Store(url_of(deployment_dir / "empty.sqlite"), deployment_dir / "w")
    with pytest.raises(StoreError) as error:
        await store.open()
    one_line(error, "`teamhub up`")
    await store.close()


@pytest.mark.parametrize("damage", ["text", "truncated", "folder", "nowhere"])
async def test_a_damaged_file_is_told_in_one_line(deployment_dir: Path, damage: str) -> None:
    path = deployment_dir / "teamhub.sqlite"
    match damage:
        case "text":
            path.write_bytes(b"this is not a database, not at all\n" * 200)
        case "truncated":
            path.write_bytes(path.read_bytes()[:5000])
        case "folder":
            path.unlink()
            path.mkdir()
        case "nowhere":
            path = deployment_dir / "missing" / "teamhub.sqlite"
    with pytest.raises(StoreError) as error:
        await upgrade(url_of(path))
    one_line(error, str(path))
    store = Store(url_of(path), deployment_dir / "w")
    with pytest.raises(StoreError) as error:
        await store.open()
        await store.workloads.all()
    one_line(error, str(path))
    await store.close()


async def test_damage_found_later_is_told_in_one_line(deployment_dir: Path) -> None:
    path = deployment_dir / "teamhub.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("drop table workloads")
    connection.close()
    store = Store(url_of(path), deployment_dir / "w")
    await store.open()
    with pytest.raises(StoreError) as error:
        await store.workloads.all()
    one_line(error, "no such table")
    with pytest.raises(StoreError):
        await store.workloads.add(Kind.KERNEL, "ada", "python3")
    await store.ping()
    await store.close()


async def test_a_database_that_nobody_can_open_is_told_in_one_line() -> None:
    """Whether the driver is missing here or nothing listens there, no password is told."""
    with pytest.raises(StoreError) as error:
        store = Store("postgresql+asyncpg://me:geheim@127.0.0.1:1/none", Path("/nonexistent"))
        await store.ping()
    one_line(error, "")
    assert "geheim" not in str(error.value)
    with pytest.raises(StoreError) as error:
        Store("geheim", Path("/nonexistent"))
    one_line(error, "store.url")
    assert "geheim" not in str(error.value)


async def test_more_at_once_than_there_are_connections(open_store: Any) -> None:
    stores = [await open_store(), await open_store()]
    added = await asyncio.gather(
        *(stores[n % 2].workloads.add(Kind.KERNEL, f"u{n}", "python3") for n in range(40))
    )
    assert len({row.id for row in added}) == 40
    assert len(await stores[0].workloads.living()) == 40


async def test_a_cancelled_write_leaves_no_lock(open_store: Any) -> None:
    one, other = await open_store(), await open_store()
    for turns in range(30):
        writing = asyncio.create_task(one.workloads.add(Kind.KERNEL, "ada", "python3"))
        for _ in range(turns):
            await asyncio.sleep(0)
        writing.cancel()
        await asyncio.wait({writing})
        async with asyncio.timeout(10):  # less than the database's own patience
            await other.workloads.add(Kind.KERNEL, "bob", "python3")
    assert len(await other.workloads.living(owner="bob")) == 30


async def test_what_was_refused_wakes_nobody(store: Store) -> None:
    with store.subscribe() as wakes:
        with pytest.raises(RefusedError):
            await store.workloads.add(Kind.KERNEL, "ada", "x", limit=0)
        assert not await wakes.wait(0.01)
    assert await store.workloads.all() == []


async def test_the_deployment_has_one_id(open_store: Any) -> None:
    stores = [await open_store(), await open_store()]
    ids = await asyncio.gather(*(stores[n % 2].deployment_id() for n in range(6)))
    assert len(set(ids)) == 1
    assert len(bytes.fromhex(ids[0])) == 4
    assert await (await open_store()).deployment_id() == ids[0]


# Wake-ups


async def test_a_write_wakes_this_process_and_the_others(open_store: Any) -> None:
    stores = [await open_store() for _ in range(3)]
    subscriptions = [store.subscribe() for store in stores]
    await stores[0].workloads.add(Kind.KERNEL, "ada", "python3")
    for subscription in subscriptions:
        assert await subscription.wait(5)
        assert not await subscription.wait(0.01), "several are one"
        subscription.close()
        subscription.close()


async def test_a_wake_up_between_two_waits_is_not_missed(open_store: Any) -> None:
    one, other = await open_store(), await open_store()
    with other.subscribe() as wakes, other.subscribe() as second:
        await one.workloads.add(Kind.KERNEL, "ada", "python3")
        await one.workloads.add(Kind.KERNEL, "ada", "python3")
        assert await second.wait(5)
        assert await wakes.wait(0.01)
        wakes.wake()
        assert await wakes.wait(0.01)


@pytest.mark.parametrize("turns", range(5))
async def test_a_cancellation_that_meets_a_wake_up_is_not_forgotten(
    store: Store, turns: int
) -> None:
    with store.subscribe() as wakes:
        waiting = asyncio.create_task(wakes.wait(60))
        for _ in range(3):
            await asyncio.sleep(0)
        wakes.wake()
        for _ in range(turns):
            await asyncio.sleep(0)
        cancelled = waiting.cancel()
        await asyncio.wait({waiting})
        assert waiting.cancelled() == cancelled


async def test_one_that_only_sends_need_not_listen(deployment_dir: Path, store: Store) -> None:
    quiet = Store(url_of(deployment_dir / "teamhub.sqlite"), deployment_dir / "wake")
    await quiet.open(listen=False)
    with store.subscribe() as wakes:
        await quiet.workloads.add(Kind.KERNEL, "ada", "python3")
        assert await wakes.wait(5)
    await quiet.close()


async def test_the_sockets_of_the_dead_are_removed(deployment_dir: Path, store: Store) -> None:
    dead = deployment_dir / "wake" / "1-dead.sock"
    left = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    left.bind(str(dead))
    left.close()
    store.wake.notify()
    assert not dead.exists()
    assert len(list((deployment_dir / "wake").iterdir())) == 1
    left = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    left.bind(str(dead))
    left.close()
    await store.close()
    assert not (deployment_dir / "wake").exists(), "the last one removes the directory"


async def test_the_directory_stays_for_those_who_listen(deployment_dir: Path, store: Store) -> None:
    other = Store(url_of(deployment_dir / "teamhub.sqlite"), deployment_dir / "wake")
    await other.open()
    await other.close()
    with store.subscribe() as wakes:
        await Store(url_of(deployment_dir / "teamhub.sqlite"), deployment_dir / "wake").close()
        assert (deployment_dir / "wake").exists()
        store.wake.notify()
        assert await wakes.wait(5)


async def test_a_full_receiver_never_blocks_the_sender(deployment_dir: Path, store: Store) -> None:
    full = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    full.bind(str(deployment_dir / "wake" / "full.sock"))
    for _ in range(2000):
        store.wake.notify()
    assert (deployment_dir / "wake" / "full.sock").exists()
    full.close()


async def test_nobody_there_to_be_woken(tmp_path: Path) -> None:
    Wake(tmp_path / "missing").notify()


async def test_a_path_too_long_for_a_socket_is_told_in_one_line(deployment_dir: Path) -> None:
    store = Store(url_of(deployment_dir / "teamhub.sqlite"), deployment_dir / ("w" * 120))
    with pytest.raises(StoreError) as error:
        await store.open()
    one_line(error, "too long")
    await store.close()


async def test_trying_to_write(open_store: Any, deployment_dir: Path) -> None:
    stores = [await open_store(), await open_store()]
    await asyncio.gather(*(stores[n % 2].try_writing() for n in range(6)))
    first = tried(deployment_dir)
    await stores[0].try_writing()
    assert tried(deployment_dir) != first, "nothing was written"


def tried(deployment_dir: Path) -> str:
    with contextlib.closing(sqlite3.connect(deployment_dir / "teamhub.sqlite")) as connection:
        query = "select value from meta where key = 'tried_writing_at'"
        ((value,),) = connection.execute(query).fetchall()
        return str(value)
