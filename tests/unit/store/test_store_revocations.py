"""The number that says whether tokens have been revoked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from teamhub.store import Store

OpenStore = Callable[[], Awaitable[Store]]


async def test_it_only_grows_and_wakes_others(open_store: OpenStore) -> None:
    one, two = await open_store(), await open_store()
    assert await one.revocations.count() == 0
    with two.subscribe() as wakes:
        await one.revocations.add()
        async with asyncio.timeout(10):
            while await two.revocations.count() == 0:
                await wakes.wait(10)
    assert await two.revocations.count() == 1


async def test_none_of_many_at_once_is_lost(open_store: OpenStore) -> None:
    stores = [await open_store() for _ in range(4)]
    # The first ones find no row at all.
    await asyncio.gather(*(store.revocations.add() for store in stores * 3))
    assert await stores[0].revocations.count() == 12
