"""A migrated SQLite store for every test that asks for one."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from teamhub.store import Store
from teamhub.store.migrate import upgrade

# No deadline: how long an example takes says how busy the machine is.
settings.register_profile("unit", max_examples=50, deadline=None)
settings.load_profile("unit")

OpenStore = Callable[[], Awaitable[Store]]


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database at this version, to be copied: migrating one for each test is slow."""
    path = tmp_path_factory.mktemp("migrated") / "teamhub.sqlite"
    asyncio.run(upgrade(f"sqlite+aiosqlite:///{path}"))
    return path


@pytest.fixture
def deployment_dir(migrated: Path) -> Iterator[Path]:
    """A folder with a database; its path is short, as a socket's has to be."""
    with tempfile.TemporaryDirectory(prefix="th-") as folder:
        shutil.copy(migrated, Path(folder) / "teamhub.sqlite")
        yield Path(folder)


@pytest.fixture
async def open_store(deployment_dir: Path) -> AsyncIterator[OpenStore]:
    """Opens stores on one database, each as another process would have it."""
    opened: list[Store] = []

    async def open_one() -> Store:
        url = f"sqlite+aiosqlite:///{deployment_dir / 'teamhub.sqlite'}"
        store = Store(url, deployment_dir / "wake")
        opened.append(store)
        await store.open()
        return store

    yield open_one
    for store in opened:
        await store.close()


@pytest.fixture
async def store(open_store: OpenStore) -> Store:
    return await open_store()
