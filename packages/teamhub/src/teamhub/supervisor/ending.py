"""Ending workloads where no dispatcher does it: it is dead, stuck, or was never started.

The one place besides the dispatcher that ends workloads, and only for whoever holds the lock of
the deployment and has seen the dispatcher's process end. It is deliberately simpler than a
dispatcher: it must work when that one does not.
"""

from __future__ import annotations

import asyncio
import os
import time

from teamhub import engines
from teamhub.config import Config
from teamhub.engines.base import Engine
from teamhub.errors import EngineError, StoreError
from teamhub.model import Observed, Status
from teamhub.reasons import Reason
from teamhub.store import Store

_HASTY_STOP_SECONDS = 0.2


async def end_workloads(
    config: Config, store: Store, *, timeout_seconds: float, hasten: bool = False
) -> int:
    """End every kernel and notebook server of the deployment and say so in the store.

    Args:
        config: its settings.
        store: open. The dispatcher's lease is taken in it, and released at the end.
        timeout_seconds: for all of it.
        hasten: give them next to no time to end by themselves.

    Returns:
        How many are left: 0 unless the engine could not end them in time. Where there was
        nothing to end, nothing is written.

    Raises:
        EngineError, StoreError: one of the two cannot be used at all.
    """
    if hasten:
        dispatcher = config.dispatcher.model_copy(
            update={"stop_timeout_seconds": _HASTY_STOP_SECONDS}
        )
        config = config.model_copy(update={"dispatcher": dispatcher})
    engine = engines.create(config, await store.deployment_id())
    await engine.open()
    try:
        left = await _remove_all(engine, time.monotonic() + timeout_seconds)
    finally:
        await engine.close()
    remaining = {observed.workload_id for observed in left}
    living = [w for w in await store.workloads.living() if w.id not in remaining]
    if living:
        await store.workloads.want_all_stopped()
        await free_lease(store)
        epoch = await store.lease.take(f"supervisor:{os.getpid()}", config.dispatcher.lease_seconds)
        if epoch is None:
            raise StoreError("another dispatcher is at work on this database; end that one first")
        for workload in await store.workloads.living():
            if workload.id not in remaining:
                await store.workloads.advance(
                    workload,
                    Status.STOPPED,
                    epoch,
                    handle=None,
                    reason=Reason.ASKED.value,
                    secrets={},
                    execution_state="dead",
                )
        await store.lease.release(epoch)
    return len(remaining)


def store_is_ours_alone(config: Config) -> bool:
    """True where the database is a file of this deployment: no dispatcher is elsewhere."""
    return config.store_url().startswith("sqlite")


async def free_lease(store: Store) -> None:
    """Give up the lease of a dispatcher that has been seen to end, so that nobody waits for it."""
    held = await store.lease.held()
    if held is not None and held.holder:
        await store.lease.release(held.epoch)


async def anything_left(config: Config, store: Store) -> int:
    """Return how many workloads there are, by the store or by the engine, whichever is more."""
    engine = engines.create(config, await store.deployment_id())
    await engine.open()
    try:
        owned = await engine.owned()
    finally:
        await engine.close()
    living = await store.workloads.living()
    return len({w.id for w in living} | {observed.workload_id for observed in owned})


async def _remove_all(engine: Engine, deadline: float) -> list[Observed]:
    """Remove all that there is; return what is left when the time is over."""
    while True:
        owned = list(await engine.owned())
        if not owned or time.monotonic() >= deadline:
            return owned
        try:
            async with asyncio.timeout(max(0.1, deadline - time.monotonic())):
                failed = await asyncio.gather(*(_remove(engine, one) for one in owned))
        except TimeoutError:
            return list(await engine.owned())
        if any(failed):
            await asyncio.sleep(0.2)


async def _remove(engine: Engine, observed: Observed) -> bool:
    """Return whether it failed."""
    if observed.handle is None:
        return True
    try:
        await engine.remove(observed.handle)
    except EngineError:
        return True
    return False
