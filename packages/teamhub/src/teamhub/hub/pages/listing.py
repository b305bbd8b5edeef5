"""What runs, as pages show it: rows of texts, made from the store's records and the hub's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from teamhub.config import Config
from teamhub.hub.failures import words_of
from teamhub.hub.sizes import in_words
from teamhub.model import Desired, Kind, Status, Workload
from teamhub.store.database import now
from teamhub.store.sessions import Session

FAILED_SHOWN = timedelta(days=1)
"""How long a kernel that has failed is shown, unless its owner dismisses it."""

_KERNEL_STATES = {"idle": "Idle", "busy": "Running code", "starting": "Starting"}


@dataclass(frozen=True)
class ServerRow:
    """A notebook server.

    Attributes:
        name: "" for a member's own.
        kind: of the state, one word for its look: good, busy, quiet or wrong.
        url: where it is opened or started.
    """

    owner: str
    name: str
    title: str
    state: str
    kind: str
    detail: str
    log: str
    size: str
    node: str
    url: str
    can_open: bool
    can_start: bool
    can_stop: bool
    can_delete: bool
    started: datetime | None
    last_active: datetime | None


@dataclass(frozen=True)
class KernelRow:
    """A kernel, living or failed a while ago; `kind` as for a server."""

    id: str
    owner: str
    title: str
    paths: tuple[str, ...]
    state: str
    kind: str
    detail: str
    log: str
    node: str
    failed: bool
    can_stop: bool
    started: datetime | None
    last_active: datetime | None


def kernel_rows(
    config: Config, workloads: Iterable[Workload], sessions: Iterable[Session] = ()
) -> Sequence[KernelRow]:
    """Return the kernels among these that are worth showing, the newest first."""
    paths: dict[str, list[str]] = {}
    for session in sessions:
        paths.setdefault(session.kernel_id, []).append(session.path)
    rows = [
        _kernel_row(config, one, tuple(paths.get(one.id, ())))
        for one in workloads
        if one.kind is Kind.KERNEL and _is_shown(one)
    ]
    return rows[::-1]


def server_rows(
    config: Config, user: Any, workloads: Iterable[Workload], *, hub_url: str
) -> Sequence[ServerRow]:
    """Return a member's notebook servers, their own first.

    Args:
        config: the settings.
        user: the hub's.
        workloads: theirs, the living ones.
        hub_url: the hub's path, with a slash at its end.
    """
    living = {one.name: one for one in workloads if one.kind is Kind.SERVER}
    names = sorted(name for name in user.orm_user.orm_spawners if name)
    return [_server_row(config, user, name, living.get(name), hub_url) for name in ["", *names]]


def in_utc(moment: datetime | None) -> datetime | None:
    """Return a moment as pages show it; one without a time zone is in UTC, as the hub's are."""
    if moment is None:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def kernel_title(config: Config, workload: Workload) -> str:
    """Return how people know a kernel's kernelspec, as in the launcher."""
    name = workload.environment or ""
    known = name in config.environments
    size = config.sizes.get(workload.size or "")
    title = config.environment(name).display_name if known else workload.name
    return f"{title} · {size.display_name}" if size is not None and size.display_name else title


def _kernel_row(config: Config, workload: Workload, paths: tuple[str, ...]) -> KernelRow:
    failed = workload.status is Status.FAILED
    detail = ""
    if failed:
        why = words_of(workload)
        detail = f"{why[:1].upper()}{why[1:]}."
    elif workload.status is Status.QUEUED:
        detail = workload.detail
    state, kind = state_of(workload)
    return KernelRow(
        id=workload.id,
        owner=workload.owner,
        title=kernel_title(config, workload),
        paths=paths,
        state=state,
        kind=kind,
        detail=detail,
        log=workload.log_tail.rstrip() if failed else "",
        node=workload.node or "",
        failed=failed,
        can_stop=workload.desired is Desired.RUNNING,
        started=in_utc(workload.started_at),
        last_active=in_utc(workload.last_activity_at),
    )


def _server_row(
    config: Config, user: Any, name: str, workload: Workload | None, hub_url: str
) -> ServerRow:
    orm_spawner = user.orm_user.orm_spawners.get(name)
    # Not user.spawners[name], which would make one for each of those that do not run.
    spawner = user.spawners.get(name)
    pending = spawner.pending if spawner is not None else None
    ready = spawner is not None and spawner.ready
    detail = log = ""
    if pending == "stop":
        state, kind = "Stopping", "busy"
    elif pending:
        state, kind = "Starting", "busy"
        if workload is not None and workload.status is Status.QUEUED:
            state, detail = "Queued", workload.detail
    elif ready:
        state, kind = "Running", "good"
    else:
        state, kind = "Stopped", "quiet"
        failure = _failure(spawner)
        if failure:
            state, kind = "Failed", "wrong"
            detail, _, log = failure.partition("\n")
    size = config.sizes.get(workload.size or "") if workload is not None else None
    where = f"{user.escaped_name}/{name}" if name else user.escaped_name
    return ServerRow(
        owner=str(user.name),
        name=name,
        title=name or "Your notebook server",
        state=state,
        kind=kind,
        detail=detail,
        log=log,
        size=_size_words(config, workload.size) if workload is not None and size else "",
        node=(workload.node or "") if workload is not None else "",
        url=str(user.server_url(name)) if ready else f"{hub_url}spawn/{where}",
        can_open=ready,
        can_start=not ready and not pending,
        can_stop=ready or pending in {"spawn", "check"},
        can_delete=bool(name) and not pending,
        started=in_utc(orm_spawner.started) if ready and orm_spawner is not None else None,
        last_active=in_utc(orm_spawner.last_activity) if orm_spawner is not None else None,
    )


def _failure(spawner: Any) -> str:
    """Return why the latest start of a server failed, "" where it did not."""
    if spawner is None or not spawner._failed:
        return ""
    error = spawner._spawn_future.exception()
    return str(getattr(error, "jupyterhub_message", "") or "It could not be started.")


def state_of(workload: Workload) -> tuple[str, str]:
    """Return where a workload is in words, and that state's kind (see `ServerRow`)."""
    if workload.status is Status.FAILED:
        return "Failed", "wrong"
    if workload.desired is Desired.STOPPED or workload.status is Status.STOPPING:
        return "Stopping", "busy"
    if workload.status is Status.QUEUED:
        return "Queued", "busy"
    if workload.status is not Status.RUNNING:
        return "Starting", "busy"
    if workload.kind is Kind.SERVER:
        return "Running", "good"
    known: Mapping[str, str] = _KERNEL_STATES
    state = known.get(workload.execution_state, workload.execution_state.capitalize())
    return state, "busy" if workload.execution_state in {"busy", "starting"} else "good"


def _is_shown(workload: Workload) -> bool:
    if workload.status is Status.FAILED:
        wanted = workload.desired is Desired.RUNNING
        return wanted and workload.changed_at > now() - FAILED_SHOWN
    return workload.status is not Status.STOPPED


def _size_words(config: Config, name: str | None) -> str:
    if name is None or name not in config.sizes:
        return ""
    size = config.size(name)
    limited = size.cpus is not None or size.memory_bytes is not None
    title = size.display_name or (size.name if len(config.servers.sizes or ()) > 1 else "")
    return ": ".join(part for part in (title, in_words(size) if limited else "") if part)
