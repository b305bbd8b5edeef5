"""`teamhub down`: ends a supervisor, or what one that was killed has left."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
from sqlalchemy.engine import make_url

from teamhub.config import Config
from teamhub.deployment import Deployment
from teamhub.errors import AlreadyRunningError, TeamhubError
from teamhub.store import Store
from teamhub.supervisor import record
from teamhub.supervisor.children import end_sessions
from teamhub.supervisor.ending import anything_left, end_workloads
from teamhub.supervisor.lock import UpLock, holder
from teamhub.supervisor.terminal import Terminal
from teamhub.supervisor.up import CHILD_STOP_SECONDS, count_of

_MARGIN_SECONDS = 60
_LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class Ended:
    """What `down` has ended. `kept`: workloads that were left running."""

    supervisor: int | None = None
    processes: int = 0
    workloads: int = 0
    kept: int = 0

    @property
    def anything(self) -> bool:
        """True where something ran."""
        return self.supervisor is not None or self.processes > 0 or self.workloads > 0


async def down(deployment: Deployment, terminal: Terminal, *, keep_kernels: bool) -> Ended:
    """End the team server on a data directory. Where none runs: what is left of one, or nothing.

    Args:
        deployment: which one.
        terminal: whom to show progress.
        keep_kernels: leave kernels and notebook servers running.

    Raises:
        TeamhubError: something could not be ended in time.
    """
    pid = await _end_supervisor(deployment, terminal, keep_kernels=keep_kernels)
    lock = UpLock(deployment)
    try:
        lock.take()
    except AlreadyRunningError:
        if pid is None:
            raise
        return Ended(pid)  # somebody has started it anew meanwhile: that one is not ours to end
    try:
        return await _end_left_over(deployment, terminal, pid, keep_kernels=keep_kernels)
    finally:
        lock.release()


def store_exists(config: Config) -> bool:
    """Return whether there is a database to open. Opening SQLite's would create it."""
    url = make_url(config.store_url())
    if not url.drivername.startswith("sqlite"):
        return True
    return bool(url.database) and Path(str(url.database)).exists()


async def _end_supervisor(
    deployment: Deployment, terminal: Terminal, *, keep_kernels: bool
) -> int | None:
    process = holder(deployment.data_dir)
    if process is None:
        return None
    deadline = (
        time.monotonic() + 2 * deployment.config.dispatcher.stop_timeout_seconds + _MARGIN_SECONDS
    )
    try:
        # psutil looks at the start time first: an id that is another's by now gets no signal.
        process.send_signal(signal.SIGUSR1 if keep_kernels else signal.SIGTERM)
    except psutil.NoSuchProcess:
        return process.pid
    except psutil.AccessDenied:
        raise TeamhubError(
            f"the team server on {deployment.data_dir} (process {process.pid}) belongs to another "
            "account; run this as that account"
        ) from None
    what = "the proxy, the hub and the gateway" if keep_kernels else "everything"
    terminal.progress(f"ending {what} (process {process.pid})")
    while (now := holder(deployment.data_dir)) is not None and now.pid == process.pid:
        if time.monotonic() > deadline:
            raise TeamhubError(
                f"the team server on {deployment.data_dir} (process {process.pid}) has not ended; "
                f"end it with `kill -9 {process.pid}`, then `teamhub down` again"
            )
        await asyncio.sleep(_LOOK_SECONDS)
    return process.pid


async def _end_left_over(
    deployment: Deployment, terminal: Terminal, supervisor: int | None, *, keep_kernels: bool
) -> Ended:
    leaders = record.left_over(deployment)
    if leaders:
        terminal.progress("ending processes of a team server that was killed")
        if stuck := await end_sessions(leaders, CHILD_STOP_SECONDS):
            numbers = ", ".join(map(str, stuck))
            raise TeamhubError(f"these processes could not be ended: {numbers}")
    record.remove(deployment)
    ended = Ended(supervisor, len(leaders))
    if not store_exists(deployment.config):
        return ended
    store = Store.of(deployment)
    try:
        await store.open(listen=False)
        there = await anything_left(deployment.config, store)
        if keep_kernels or not there:
            return Ended(supervisor, len(leaders), kept=there)
        terminal.progress(f"ending {count_of(there)}")
        seconds = deployment.config.dispatcher.stop_timeout_seconds + _MARGIN_SECONDS
        left = await end_workloads(deployment.config, store, timeout_seconds=seconds)
        if left:
            raise TeamhubError(f"{count_of(left)} could not be ended")
        return Ended(supervisor, len(leaders), there)
    finally:
        with contextlib.suppress(TeamhubError):
            await store.close()
