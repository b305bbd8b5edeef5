"""`kernels`: what runs, and ending one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from teamhub.cli.answers import ago, print_json, print_table
from teamhub.cli.choice import Choice, common_options, opened_store
from teamhub.deployment import Deployment
from teamhub.errors import NotFoundError, NotRunningError, RefusedError, TeamhubError
from teamhub.model import Kind, Workload
from teamhub.store import Store
from teamhub.supervisor.lock import holder
from teamhub.supervisor.terminal import Terminal

_MARGIN_SECONDS = 20
_SWEEP_SECONDS = 1.0
_SHORT = 8


@click.group()
def kernels() -> None:
    """List and end kernels."""


@kernels.command(name="list")
@click.option("--user", metavar="NAME", help="Only those of this user.")
@common_options
def list_kernels(choice: Choice, user: str | None) -> None:
    """List the kernels that there are, oldest first."""

    async def run() -> Sequence[Workload]:
        async with opened_store(choice.deployment()) as store:
            return await store.workloads.living(Kind.KERNEL, user)

    found = asyncio.run(run())
    if choice.as_json:
        print_json([_as_json(kernel) for kernel in found])
        return
    print_table(
        ("ID", "USER", "KERNEL", "STATUS", "STATE", "LAST ACTIVE", "SINCE"),
        [
            (
                kernel.id[:_SHORT],
                kernel.owner,
                kernel.name,
                kernel.status.value,
                kernel.execution_state,
                ago(kernel.last_activity_at),
                ago(kernel.created_at),
            )
            for kernel in found
        ],
    )


@kernels.command()
@click.argument("kernel_id", metavar="ID")
@common_options
def stop(choice: Choice, kernel_id: str) -> None:
    """End the kernel ID (its first characters suffice) and wait until it has ended."""
    terminal = Terminal()
    ended = asyncio.run(_stop(choice.deployment(), terminal, kernel_id.strip().lower()))
    terminal.quiet()
    if choice.as_json:
        print_json(_as_json(ended))
        return
    terminal.say(f"kernel {ended.id[:_SHORT]} of {ended.owner} has ended")


async def _stop(deployment: Deployment, terminal: Terminal, prefix: str) -> Workload:
    async with opened_store(deployment, listen=True) as store:
        kernel = _one_of(await store.workloads.living(Kind.KERNEL), prefix)
        if not await _dispatched(deployment, store):
            raise NotRunningError(
                f"nobody would end it: no team server is running on {deployment.data_dir}; "
                "`teamhub down` ends what one has left"
            )
        deadline = time.monotonic() + deployment.config.dispatcher.stop_timeout_seconds
        deadline += _MARGIN_SECONDS
        terminal.progress(f"ending kernel {kernel.id[:_SHORT]} of {kernel.owner}")
        with store.subscribe() as changes:
            await store.workloads.want_stopped(kernel.id)
            while True:
                found = await store.workloads.get(kernel.id)
                if found is None or found.status.ended:
                    return found or kernel
                if time.monotonic() > deadline:
                    raise TeamhubError(
                        f"kernel {kernel.id[:_SHORT]} has not ended yet; it will when the "
                        "dispatcher comes to it, see `teamhub status`"
                    )
                await changes.wait(_SWEEP_SECONDS)


def _one_of(living: Sequence[Workload], prefix: str) -> Workload:
    found = [kernel for kernel in living if kernel.id.startswith(prefix)]
    if not prefix or not found:
        raise NotFoundError(f"no kernel's id begins with {prefix!r}; see `teamhub kernels list`")
    if len(found) > 1:
        some = ", ".join(kernel.id[: len(prefix) + 4] for kernel in found[:5])
        raise RefusedError(
            f"{len(found)} kernels' ids begin with {prefix!r}: {some}; give more of it"
        )
    return found[0]


async def _dispatched(deployment: Deployment, store: Store) -> bool:
    """Whether somebody is there to do it: a supervisor, or a dispatcher that says it is alive."""
    if holder(deployment.data_dir) is not None:
        return True
    held = await store.lease.held()
    lease = timedelta(seconds=deployment.config.dispatcher.lease_seconds)
    return held is not None and bool(held.holder) and held.heartbeat_at > datetime.now(UTC) - lease


def _as_json(kernel: Workload) -> dict[str, Any]:
    return {
        "id": kernel.id,
        "user": kernel.owner,
        "name": kernel.name,
        "environment": kernel.environment,
        "size": kernel.size,
        "status": kernel.status.value,
        "reason": kernel.reason.value if kernel.reason else None,
        "detail": kernel.detail,
        "execution_state": kernel.execution_state,
        "last_activity_at": kernel.last_activity_at,
        "created_at": kernel.created_at,
        "started_at": kernel.started_at,
        "node": kernel.node,
    }
