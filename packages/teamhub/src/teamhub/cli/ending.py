"""Ending kernels and notebook servers from the command line, and seeing them end."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from teamhub.cli.answers import counted
from teamhub.deployment import Deployment
from teamhub.errors import NotRunningError, TeamhubError
from teamhub.model import Workload
from teamhub.store import Store
from teamhub.supervisor.lock import holder
from teamhub.supervisor.terminal import Terminal

SWEEP_SECONDS = 1.0
_MARGIN_SECONDS = 20


async def dispatched(deployment: Deployment, store: Store) -> bool:
    """Whether somebody is there to do it: a supervisor, or a dispatcher that says it is alive."""
    if holder(deployment.data_dir) is not None:
        return True
    held = await store.lease.held()
    lease = timedelta(seconds=deployment.config.dispatcher.lease_seconds)
    return held is not None and bool(held.holder) and held.heartbeat_at > datetime.now(UTC) - lease


async def require_dispatcher(deployment: Deployment, store: Store) -> None:
    """Raise NotRunningError where nobody would end what is asked to end."""
    if not await dispatched(deployment, store):
        raise NotRunningError(
            f"nobody would end it: no team server is running on {deployment.data_dir}; "
            "`teamhub down` ends what one has left"
        )


async def end_and_wait(
    deployment: Deployment, store: Store, terminal: Terminal, workloads: Sequence[Workload]
) -> Sequence[Workload]:
    """Want workloads to stop, wait until they have ended, and return them as they are then.

    Args:
        deployment: whose they are.
        store: open, and receiving wake-ups.
        terminal: told how many are left.
        workloads: of those that have ended already: nothing.

    Raises:
        NotRunningError: nobody would do it; nothing has changed.
        TeamhubError: one of them has not ended in time; the dispatcher goes on with it.
    """
    await require_dispatcher(deployment, store)
    deadline = time.monotonic() + deployment.config.dispatcher.stop_timeout_seconds
    deadline += _MARGIN_SECONDS
    ended: dict[str, Workload] = {}
    with store.subscribe() as changes:
        for workload in workloads:
            await store.workloads.want_stopped(workload.id)
        while True:
            for workload in workloads:
                if workload.id not in ended:
                    found = await store.workloads.get(workload.id)
                    if found is None or found.status.ended:
                        ended[workload.id] = found or workload
            left = [one for one in workloads if one.id not in ended]
            if not left:
                return [ended[one.id] for one in workloads]
            if time.monotonic() > deadline:
                raise TeamhubError(
                    f"{left[0].kind.value} {left[0].id[:8]} has not ended yet; it will when the "
                    "dispatcher comes to it, see `teamhub status`"
                )
            terminal.progress(f"ending {counted(len(left), left[0].kind.value)}")
            await changes.wait(SWEEP_SECONDS)
