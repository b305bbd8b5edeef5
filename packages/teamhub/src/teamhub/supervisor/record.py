"""What a supervisor runs, noted in `run/processes.json`: for `status`, and for who comes after."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from teamhub.deployment import Deployment, write_private
from teamhub.supervisor.children import Identity, strays


class ChildRecord(BaseModel):
    """One program: its process, and how often and why it had to be started again."""

    model_config = ConfigDict(frozen=True)

    pid: int | None
    started_at: float | None
    """Seconds since the epoch."""
    restarts: int = 0
    last_exit: str = ""
    last_exit_at: datetime | None = None

    def identity(self) -> Identity | None:
        """Return which process it is, None where none was running."""
        if self.pid is None or self.started_at is None:
            return None
        return Identity(self.pid, self.started_at)


class Record(BaseModel):
    """The supervisor and its children. `up_since`: when sign-in first worked."""

    model_config = ConfigDict(frozen=True)

    supervisor_pid: int
    supervisor_started_at: float
    up_since: datetime | None = None
    children: Mapping[str, ChildRecord] = {}


def record_file(deployment: Deployment) -> Path:
    """Return where the record is."""
    return deployment.run_dir / "processes.json"


def read(deployment: Deployment) -> Record | None:
    """Return the record, None where there is none that can be read."""
    try:
        return Record.model_validate_json(record_file(deployment).read_bytes())
    except (OSError, ValidationError):
        return None


def write(
    deployment: Deployment, children: Mapping[str, ChildRecord], up_since: datetime | None
) -> None:
    """Write the record for this process as the supervisor. A full disk is not its end."""
    me = Identity.of(os.getpid())
    record = Record(
        supervisor_pid=me.pid,
        supervisor_started_at=me.started_at,
        up_since=up_since,
        children=children,
    )
    with contextlib.suppress(OSError):
        write_private(record_file(deployment), record.model_dump_json(indent=1))


def remove(deployment: Deployment) -> None:
    """Remove the record. A second call does nothing."""
    with contextlib.suppress(OSError):
        record_file(deployment).unlink(missing_ok=True)


def left_over(deployment: Deployment) -> list[Identity]:
    """Return the processes of an earlier supervisor that still run.

    Those in the record, and those that were started and not yet noted when it was killed. Only
    for whoever holds the lock: else they are somebody's.
    """
    found = {identity.pid: identity for identity in strays(deployment.data_dir)}
    record = read(deployment)
    for child in record.children.values() if record is not None else ():
        identity = child.identity()
        if identity is not None and identity.process() is not None:
            found.setdefault(identity.pid, identity)
    return list(found.values())


def moment(started_at: float | None) -> datetime | None:
    """Return a start time as a moment in UTC."""
    return None if started_at is None else datetime.fromtimestamp(started_at, UTC)
