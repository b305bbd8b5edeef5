"""What `teamhub status` tells: a deployment as it is at this moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from teamhub.deployment import Deployment
from teamhub.errors import NotRunningError, StoreError
from teamhub.model import Kind, Status, Workload
from teamhub.store import Store
from teamhub.supervisor import record
from teamhub.supervisor.lock import holder
from teamhub.supervisor.readiness import Checks

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
        problems: what does not work, in words; empty where it is ready.
        workloads: for each kind, how many there are in each status.
        failures: the last ones, newest first.
    """

    url: str
    data_dir: str
    ready_since: datetime | None
    problems: Sequence[str]
    processes: Sequence[ProcessState]
    workloads: Mapping[str, Mapping[str, int]]
    failures: Sequence[Failure]

    @property
    def ready(self) -> bool:
        """True where people can sign in and start kernels."""
        return not self.problems


async def state_of(deployment: Deployment) -> State:
    """Return how a deployment is.

    Raises:
        NotRunningError: no supervisor runs there.
    """
    supervisor = holder(deployment.data_dir)
    if supervisor is None:
        raise NotRunningError(
            f"no team server is running on {deployment.data_dir}; start one with "
            f"`teamhub up --data-dir {deployment.data_dir}`"
        )
    noted = record.read(deployment)
    processes = [
        ProcessState("supervisor", supervisor.pid, record.moment(supervisor.create_time()))
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
            )
        )
    async with Checks(deployment) as checks:
        problems = list((await checks.check()).problems.values())
    living: Sequence[Workload] = ()
    failed: Sequence[Workload] = ()
    try:
        living, failed = await _workloads(deployment)
    except StoreError as error:
        problems.append(str(error))
    return State(
        url=deployment.public_url(),
        data_dir=str(deployment.data_dir),
        ready_since=noted.ready_since if noted is not None else None,
        problems=problems,
        processes=processes,
        workloads={
            kind.value: dict(Counter(w.status.value for w in living if w.kind is kind))
            for kind in Kind
        },
        failures=[
            Failure(w.id, w.kind.value, w.owner, w.name, w.changed_at, _why(w))
            for w in reversed(failed[-_FAILURES_SHOWN:])
        ],
    )


async def _workloads(deployment: Deployment) -> tuple[Sequence[Workload], Sequence[Workload]]:
    store = Store.of(deployment)
    try:
        await store.open(listen=False)
        living = await store.workloads.living()
        since = datetime.now(UTC) - timedelta(days=_FAILURES_DAYS)
        changed = await store.workloads.changed_since(since)
    finally:
        await store.close()
    return living, [workload for workload in changed if workload.status is Status.FAILED]


def _why(workload: Workload) -> str:
    reason = workload.reason.value if workload.reason is not None else ""
    return ": ".join(filter(None, (reason, workload.detail)))
