"""The nouns, as frozen values. Nothing here does anything; everything else speaks in these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from teamhub.reasons import Reason


class Kind(StrEnum):
    """What a workload is."""

    KERNEL = "kernel"
    SERVER = "server"


class Status(StrEnum):
    """Where a workload is in its life. Never goes backwards within one attempt."""

    QUEUED = "queued"
    PLACED = "placed"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """True once nothing of it runs and nothing more will happen to it by itself."""
        return self in {Status.STOPPED, Status.FAILED}


class Desired(StrEnum):
    """What its owner wants of a workload."""

    RUNNING = "running"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Environment:
    """What code runs in.

    `argv` is a kernelspec's: the strings `{connection_file}`, `{prefix}` and `{resource_dir}`
    are filled in where the kernel starts. `owner` is None for the team's own.
    """

    name: str
    display_name: str
    argv: tuple[str, ...]
    language: str = "python"
    interrupt_mode: str = "signal"
    env: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    resource_dir: str | None = None
    owner: str | None = None


@dataclass(frozen=True)
class Size:
    """How much a workload gets. None means: not limited."""

    name: str
    display_name: str
    cpus: float | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True)
class Launch:
    """What an engine is asked to start. It says nothing of users' rights, queues or databases.

    `label` is `<deployment id>/<workload id>`, unique on the machine. `owner` is for names and
    log lines only. `uid` and `gid`, where given, are what the workload must run as.
    `env` is the whole environment: an engine adds what it needs for its own purposes and
    otherwise passes nothing of its own process on. It may hold secrets: never log it.
    """

    deployment: str
    workload_id: str
    kind: Kind
    attempt: int
    owner: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    working_dir: str
    node: str
    cpus: float | None = None
    memory_bytes: int | None = None
    uid: int | None = None
    gid: int | None = None

    @property
    def label(self) -> str:
        """What a started workload carries so that it can be found again."""
        return f"{self.deployment}/{self.workload_id}"


@dataclass(frozen=True)
class Handle:
    """What an engine gives back for a started workload: opaque to all others, kept in the store.

    `data` is JSON that only the engine called `engine` understands; `version` is its own.
    """

    engine: str
    version: int
    data: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object from which `from_json` makes an equal handle."""
        return {"engine": self.engine, "version": self.version, "data": dict(self.data)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Handle:
        """Return the handle that `to_json` described. Raises KeyError on anything else."""
        return cls(value["engine"], value["version"], value["data"])


@dataclass(frozen=True)
class Address:
    """Where a workload's one port is reached from the gateway, the proxy and the hub."""

    host: str
    port: int

    def __str__(self) -> str:
        """As it stands in a URL: an IPv6 host in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Phase(StrEnum):
    """What an engine sees of a workload, without judging it."""

    STARTING = "starting"
    """A process exists; it has not yet said that it is ready."""
    READY = "ready"
    """It has said that it is ready."""
    EXITED = "exited"
    """It has ended; its remains (log, exit code) are still there until `remove`."""
    GONE = "gone"
    """Nothing is known of it: never started, or removed."""


@dataclass(frozen=True)
class Observed:
    """What an engine sees of one workload at one moment.

    `exit_code` is negative for a signal, None where it could not be learned.
    `reason` is set only where the engine itself knows better than an exit code can tell
    (out of memory, a missing image). `address` may be known before it is ready.
    """

    workload_id: str
    phase: Phase
    attempt: int = 0
    handle: Handle | None = None
    address: Address | None = None
    exit_code: int | None = None
    reason: Reason | None = None
    detail: str = ""


@dataclass(frozen=True)
class Node:
    """A machine with capacity."""

    name: str
    cpus: float
    memory_bytes: int
    ready: bool = True
    detail: str = ""


@dataclass(frozen=True)
class Deaths:
    """How many of a kernel's processes died and were replaced in place, and how the last did."""

    number: int
    last_exit: str
    last_exit_at: datetime


@dataclass(frozen=True)
class Workload:
    """A row of the store: something that should run, and how far that has come.

    `spec` is what the server decided at the request (never what a client claimed): for a kernel
    `working_dir` and the user's own `env`; for a server `argv`, `env` and `working_dir`.
    `secrets` are handed to the launch and wiped from the row once it runs or has ended.
    `public_key` is the Z85 CurveZMQ key of a kernel's shim.
    """

    id: str
    kind: Kind
    owner: str
    name: str
    environment: str | None
    size: str | None
    desired: Desired
    status: Status
    attempt: int
    created_at: datetime
    changed_at: datetime
    reason: Reason | None = None
    detail: str = ""
    log_tail: str = ""
    node: str | None = None
    handle: Handle | None = None
    address: Address | None = None
    public_key: str | None = None
    spec: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    started_at: datetime | None = None
    execution_state: str = "starting"
    last_activity_at: datetime | None = None
    deaths: Deaths | None = None
