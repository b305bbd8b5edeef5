"""A deployment with a machine of engine fake."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from dispatcher_rig import Rig
from teamhub.store import Store


@pytest.fixture
async def rig(
    deployment_dir: Path, open_store: Callable[[], Awaitable[Store]], store: Store
) -> AsyncIterator[Rig]:
    made = Rig(deployment_dir, open_store, store)
    yield made
    await made.close()
