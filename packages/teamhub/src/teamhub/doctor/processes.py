"""What runs: the processes that should, the ports that they should have, and who dispatches."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from teamhub.doctor.check import Check, Finding, Patient, ok, problem, warning
from teamhub.errors import TeamhubError
from teamhub.store import Store
from teamhub.supervisor import record
from teamhub.supervisor.children import Identity
from teamhub.supervisor.down import store_exists
from teamhub.supervisor.lock import holder
from teamhub.supervisor.port import listener, public_port_held
from teamhub.supervisor.readiness import Checks
from teamhub.supervisor.state import processes_of

_CONNECT_SECONDS = 5
_RECENT = timedelta(days=1)
_LEFT_OVER = "`teamhub down` ends that with the kernels; `teamhub up` takes the kernels over"


async def _server(patient: Patient) -> Finding:
    deployment = patient.deployment
    supervisor = holder(patient.data_dir)
    if supervisor is None:
        if left := _left_over(patient):
            return problem(
                f"{len(left)} processes of a team server that was killed still run", _LEFT_OVER
            )
        return ok("no team server runs here: what needs one is skipped")
    noted = record.read(deployment)
    if noted is None:
        return problem(
            "a team server runs, and its record run/processes.json cannot be read",
            "`teamhub down --keep-kernels`, then `teamhub up`",
        )
    processes = processes_of(noted, supervisor)
    dead = [one.name for one in processes if one.pid is None]
    if dead:
        return problem(f"not running: {', '.join(dead)}", f"see `teamhub logs --process {dead[0]}`")
    now = datetime.now(UTC)
    ended = [p for p in processes if p.last_exit_at is not None and p.last_exit_at > now - _RECENT]
    if ended:
        told = ", ".join(
            f"the {p.name} {'once' if p.restarts == 1 else f'{p.restarts} times'} ({p.last_exit})"
            for p in ended
        )
        return warning(
            f"all run, but were started again: {told}",
            f"see `teamhub logs --process {ended[0].name}`",
        )
    return ok(f"{len(processes)} processes, none of which had to be started again today")


async def _ports(patient: Patient) -> Finding:
    deployment = patient.deployment
    if not patient.running:
        try:
            with public_port_held(deployment.config.proxy):
                pass
        except TeamhubError as error:
            port = deployment.config.proxy.port
            process = listener(port)
            left = {identity.pid for identity in _left_over(patient)}
            with contextlib.suppress(OSError):
                if process is not None and os.getsid(process.pid) in left:
                    return problem(
                        f"port {port} is held by what a team server that was killed has left "
                        f"(process {process.pid})",
                        _LEFT_OVER,
                    )
            return problem(str(error))
        return ok(f"port {deployment.config.proxy.port} is free")
    for name, port in vars(deployment.ports()).items():
        if not await _answers(port):
            return problem(
                f"nothing listens on port {port}, the {name.replace('_', ' ')}'s",
                "see `teamhub status` and `teamhub logs`",
            )
    return ok("proxy, hub and gateway listen on theirs")


def _left_over(patient: Patient) -> Sequence[Identity]:
    return record.left_over(patient.deployment) if patient.data_dir.exists() else ()


async def _ready(patient: Patient) -> Finding:
    async with Checks(patient.deployment) as checks:
        readiness = await checks.check()
    if not readiness.ready:
        return problem(str(readiness), "see `teamhub status` and `teamhub logs`")
    return ok(f"{patient.deployment.public_url()} answers: sign-in and gateway are ready")


async def _dispatcher(patient: Patient) -> Finding:
    assert patient.config is not None
    if not store_exists(patient.config):
        return ok("none yet")
    store = Store.of(patient.deployment)
    try:
        await store.open(listen=False)
        held = await store.lease.held()
    finally:
        await store.close()
    age = None if held is None else datetime.now(UTC) - held.heartbeat_at
    lease = timedelta(seconds=patient.config.dispatcher.lease_seconds)
    active = held is not None and bool(held.holder) and age is not None and age < lease
    if patient.running and not active:
        return problem(
            "no dispatcher is active: nothing is started or stopped",
            "see `teamhub logs --process gateway`",
        )
    if active and not patient.running and held is not None:
        return warning(
            f"{held.holder} dispatches on this database, and no team server runs here",
            "two teamhubs must not share a data directory; find out where it runs",
        )
    return ok(f"{held.holder} is active" if active and held is not None else "none, as it should")


async def _answers(port: int) -> bool:
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


CHECKS = (
    Check("processes", _server),
    Check("ports", _ports),
    Check("address", _ready, live=True),
    Check("dispatcher", _dispatcher),
)
