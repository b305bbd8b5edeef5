"""What went wrong lately, and what a person can do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from teamhub.disk import REMEDY, Disk
from teamhub.model import Kind, Workload
from teamhub.reasons import Reason

_SHORT = 8


@dataclass(frozen=True)
class Problem:
    """One thing that went wrong.

    Attributes:
        what: a sentence's worth, on one line.
        remedy: what to do about it.
    """

    at: datetime
    what: str
    remedy: str


def of_workload(workload: Workload) -> Problem:
    """Return what a failed workload means for a person."""
    kind, command = "kernel", "kernels"
    if workload.kind is Kind.SERVER:
        kind, command = "notebook server", "servers"
    cause = why(workload)
    what = f"{kind} {workload.id[:_SHORT]} of {workload.owner} failed"
    reason = workload.reason or Reason.ENGINE
    # First the command, which says all: a narrow screen shows no more.
    name = workload.id[:_SHORT]
    if workload.kind is Kind.SERVER:
        name = "/".join(filter(None, (workload.owner, workload.name)))
    remedy = f"`teamhub {command} show {name}`. {reason.remedy.administrator}"
    return Problem(
        workload.changed_at, " ".join((f"{what}: {cause}" if cause else what).split()), remedy
    )


def of_process(name: str, last_exit: str, at: datetime, *, running: bool) -> Problem:
    """Return what the end of one of the server's processes means."""
    now = "it runs again" if running else "it is started again in a moment"
    return Problem(
        at, f"the {name} ended ({last_exit}); {now}", f"see `teamhub logs --process {name}`"
    )


def of_disk(disk: Disk, at: datetime) -> Problem | None:
    """Return what too little room means, None where there is enough."""
    if not disk.low:
        return None
    how = "full" if disk.full else "nearly full" if disk.nearly_full else "filling up"
    return Problem(at, f"the data directory's disk is {how}: {disk}", REMEDY)


def newest(problems: Sequence[Problem], count: int) -> list[Problem]:
    """Return the last ones, newest first."""
    return sorted(problems, key=lambda one: one.at, reverse=True)[:count]


def why(workload: Workload) -> str:
    """Return a failed workload's reason and detail."""
    reason = workload.reason.value if workload.reason is not None else ""
    return ": ".join(filter(None, (reason, workload.detail)))
