"""What `teamhub status` tells: a deployment as it is at this moment."""

from __future__ import annotations

import contextlib
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psutil

from teamhub.deployment import Deployment
from teamhub.disk import Disk
from teamhub.errors import NotRunningError, StoreError, TeamhubError
from teamhub.model import Kind, Node, Status, Workload
from teamhub.store import Store
from teamhub.supervisor import problems as troubles
from teamhub.supervisor import record
from teamhub.supervisor.down import store_exists
from teamhub.supervisor.lock import holder
from teamhub.supervisor.problems import Problem
from teamhub.supervisor.readiness import Checks
from teamhub.supervisor.up import count_of

_FAILURES_SHOWN = 5
_FAILURES_DAYS = 1


@dataclass(frozen=True)
class ProcessState:
    """A process of the deployment. `pid` is None while it is not running."""

    name: str
    pid: int | None
    since: datetime | None
    restarts: int = 0
    last_exit: str = ""
    last_exit_at: datetime | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True)
class NodeState:
    """A machine that kernels and notebook servers run on.

    Attributes:
        used_bytes: of its memory, by everything there; None where it cannot be seen from here.
        promised_bytes: of its memory, to what runs there: the sum of the sizes.
    """

    name: str
    cpus: float
    memory_bytes: int
    used_bytes: int | None
    promised_bytes: int
    workloads: int
    ready: bool
    detail: str


@dataclass(frozen=True)
class MemberState:
    """What one member has that has not ended."""

    name: str
    kernels: int
    servers: int


@dataclass(frozen=True)
class Queued:
    """A workload that waits for its place, and why."""

    id: str
    kind: str
    owner: str
    name: str
    since: datetime
    why: str


@dataclass(frozen=True)
class Failure:
    """A workload that failed lately."""

    id: str
    kind: str
    owner: str
    name: str
    at: datetime
    why: str


@dataclass(frozen=True)
class State:
    """A deployment that runs.

    Attributes:
        up_since: when all was ready for the first time; it may not have been all the while.
        problems: what does not work, in words; empty where it is ready.
        workloads: for each kind, how many there are in each status.
        members: those who have something, who has most first.
        queued: what waits, longest first.
        waiting_sign_ups: how many wait for approval.
        failures: the last ones, newest first.
        last_problems: those, ends of processes and a disk with little room, newest first,
            with what to do.
    """

    url: str
    data_dir: str
    up_since: datetime | None
    problems: Sequence[str]
    processes: Sequence[ProcessState]
    workloads: Mapping[str, Mapping[str, int]]
    failures: Sequence[Failure]
    nodes: Sequence[NodeState] = ()
    members: Sequence[MemberState] = ()
    queued: Sequence[Queued] = ()
    disk: Disk | None = None
    waiting_sign_ups: int = 0
    last_problems: Sequence[Problem] = ()

    @property
    def ready(self) -> bool:
        """True where people can sign in and start kernels."""
        return not self.problems


@dataclass(frozen=True)
class _Stored:
    """What the store says."""

    living: Sequence[Workload] = ()
    failed: Sequence[Workload] = ()
    nodes: Sequence[Node] = ()
    waiting_sign_ups: int = 0


@dataclass
class _Load:
    memory_bytes: int = 0
    workloads: int = 0


async def state_of(deployment: Deployment) -> State:
    """Return how a deployment is.

    Raises:
        NotRunningError: no supervisor runs there; it says what one that was killed has left.
    """
    supervisor = holder(deployment.data_dir)
    if supervisor is None:
        raise await _none_runs(deployment)
    noted = record.read(deployment)
    processes = processes_of(noted, supervisor)
    async with Checks(deployment) as checks:
        problems = list((await checks.check()).problems.values())
    stored = _Stored()
    try:
        stored = await _stored(deployment)
    except StoreError as error:
        problems.append(str(error))
    ended = [
        troubles.of_process(p.name, p.last_exit, p.last_exit_at, running=p.pid is not None)
        for p in processes
        if p.last_exit_at is not None
    ]
    disk = disk_of(deployment)
    little_room = troubles.of_disk(disk, datetime.now(UTC)) if disk is not None else None
    return State(
        url=deployment.public_url(),
        data_dir=str(deployment.data_dir),
        up_since=noted.up_since if noted is not None else None,
        problems=problems,
        processes=processes,
        workloads={
            kind.value: dict(Counter(w.status.value for w in stored.living if w.kind is kind))
            for kind in Kind
        },
        failures=[
            Failure(w.id, w.kind.value, w.owner, w.name, w.changed_at, troubles.why(w))
            for w in reversed(stored.failed[-_FAILURES_SHOWN:])
        ],
        nodes=_nodes(deployment, stored),
        members=_members(stored.living),
        queued=[
            Queued(w.id, w.kind.value, w.owner, w.name, w.created_at, w.detail)
            for w in stored.living
            if w.status is Status.QUEUED
        ],
        disk=disk,
        waiting_sign_ups=stored.waiting_sign_ups,
        last_problems=troubles.newest(
            [
                *([little_room] if little_room is not None else []),
                *ended,
                *map(troubles.of_workload, stored.failed),
            ],
            _FAILURES_SHOWN,
        ),
    )


async def _none_runs(deployment: Deployment) -> NotRunningError:
    on = f"--data-dir {deployment.data_dir}"
    said = f"no team server is running on {deployment.data_dir}"
    left = len(record.left_over(deployment))
    if not left:
        return NotRunningError(f"{said}; start one with `teamhub up {on}`")
    what = "1 process" if left == 1 else f"{left} processes"
    with contextlib.suppress(TeamhubError):
        if store_exists(deployment.config) and (living := (await _stored(deployment)).living):
            what += f" and {count_of(len(living))}"
    return NotRunningError(
        f"{said}, but {what} of one that was killed still run: `teamhub up {on}` takes over, "
        f"`teamhub down {on}` ends them"
    )


def processes_of(noted: record.Record | None, supervisor: psutil.Process) -> list[ProcessState]:
    """Return the supervisor's process and those in its record."""
    processes = [
        ProcessState(
            "supervisor",
            supervisor.pid,
            record.moment(supervisor.create_time()),
            memory_bytes=_memory(supervisor.pid),
        )
    ]
    for name, child in (noted.children if noted is not None else {}).items():
        identity = child.identity()
        alive = identity is not None and identity.process() is not None
        processes.append(
            ProcessState(
                name,
                child.pid if alive else None,
                record.moment(child.started_at) if alive else None,
                child.restarts,
                child.last_exit,
                child.last_exit_at,
                _memory(child.pid) if alive else None,
            )
        )
    return processes


def disk_of(deployment: Deployment) -> Disk | None:
    """Return the space of the data directory, None where it cannot be told."""
    try:
        return Disk.of(deployment.data_dir)
    except OSError:
        return None


def _memory(pid: int | None) -> int | None:
    with contextlib.suppress(psutil.Error):
        return int(psutil.Process(pid).memory_info().rss)
    return None


async def _stored(deployment: Deployment) -> _Stored:
    store = Store.of(deployment)
    try:
        await store.open(listen=False)
        living = await store.workloads.living()
        since = datetime.now(UTC) - timedelta(days=_FAILURES_DAYS)
        changed = await store.workloads.changed_since(since)
        failed = [workload for workload in changed if workload.status is Status.FAILED]
        waiting = [account for account in await store.accounts.all() if account.waiting]
        return _Stored(living, failed, await store.nodes.all(), len(waiting))
    finally:
        await store.close()


def _nodes(deployment: Deployment, stored: _Stored) -> list[NodeState]:
    loads: dict[str, _Load] = {}
    sizes = deployment.config.sizes
    for workload in stored.living:
        if workload.node is None:
            continue
        load = loads.setdefault(workload.node, _Load())
        size = sizes.get(workload.size or "")
        load.memory_bytes += (size.memory or 0) if size is not None else 0
        load.workloads += 1
    found = []
    for node in stored.nodes:
        load = loads.get(node.name, _Load())
        here = deployment.config.engine.name == "process" and node.name == platform.node()
        found.append(
            NodeState(
                node.name,
                node.cpus,
                node.memory_bytes,
                _used() if here else None,
                load.memory_bytes,
                load.workloads,
                node.ready,
                node.detail,
            )
        )
    return found


def _used() -> int:
    memory = psutil.virtual_memory()
    return int(memory.total - memory.available)


def _members(living: Sequence[Workload]) -> list[MemberState]:
    kernels = Counter(w.owner for w in living if w.kind is Kind.KERNEL)
    servers = Counter(w.owner for w in living if w.kind is Kind.SERVER)
    found = [MemberState(name, kernels[name], servers[name]) for name in {*kernels, *servers}]
    return sorted(found, key=lambda one: (-one.kernels - one.servers, one.name))
