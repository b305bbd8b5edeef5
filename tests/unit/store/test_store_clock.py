"""A clock that was set back: what the store says of it, and that leases still change hands."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from teamhub.errors import DeposedError
from teamhub.store import Store


def beaten_at(deployment_dir: Path, moment: datetime) -> None:
    with closing(sqlite3.connect(deployment_dir / "teamhub.sqlite", isolation_level=None)) as file:
        file.execute(
            "UPDATE dispatcher_lease SET heartbeat_at = ?",
            (moment.replace(tzinfo=None).isoformat(" "),),
        )


async def test_the_newest_moment_is_the_newest_of_all_tables(
    store: Store, deployment_dir: Path
) -> None:
    assert await store.newest_moment() is None
    began = datetime.now(UTC)
    await store.accounts.add("ada", "hash", one_time=True, admin=False)
    newest = await store.newest_moment()
    assert newest is not None
    assert began <= newest <= datetime.now(UTC)
    await store.lease.take("one", 60)
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    beaten_at(deployment_dir, tomorrow)
    assert await store.newest_moment() == tomorrow


@pytest.mark.parametrize("days", [-1, 1])
async def test_a_lease_whose_holder_has_beaten_far_from_now_is_free(
    store: Store, deployment_dir: Path, days: int
) -> None:
    """In the future, too: whoever is alive beats by the clock of now."""
    first = await store.lease.take("one", 60)
    assert first is not None
    beaten_at(deployment_dir, datetime.now(UTC) + timedelta(days=days))
    assert await store.lease.take("other", 60) == first + 1
    with pytest.raises(DeposedError):
        await store.lease.beat(first)


@pytest.mark.parametrize("seconds", [-30, 30])
async def test_clocks_that_differ_by_less_than_the_lease_take_it_from_nobody(
    store: Store, deployment_dir: Path, seconds: int
) -> None:
    await store.lease.take("one", 60)
    beaten_at(deployment_dir, datetime.now(UTC) + timedelta(seconds=seconds))
    assert await store.lease.take("other", 60) is None
