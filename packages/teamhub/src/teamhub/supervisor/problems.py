"""What went wrong lately, and what a person can do about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from teamhub.model import Kind, Workload
from teamhub.reasons import Reason

_SHORT = 8

_REMEDIES: Mapping[Reason | None, str] = {
    Reason.COMMAND_NOT_FOUND: "see `teamhub config check` for the environment's command",
    Reason.EXITED_AT_START: "see its log: {log}",
    Reason.START_TIMEOUT: "see its log: {log}; a slow one needs more start_timeout_seconds",
    Reason.EXITED: "its owner can start it again; see its log: {log}",
    Reason.KILLED: "its owner can start it again; the machine's own log may say who killed it",
    Reason.OUT_OF_MEMORY: "its owner can start it again in a larger size, see [sizes]",
    Reason.VANISHED: "its owner can start it again; the machine was restarted, or lost it",
    Reason.NO_SUCH_ENVIRONMENT: "its owner can start another; the settings do not name it any more",
    Reason.ENGINE: "see `teamhub logs gateway`, then `teamhub doctor`",
}


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
    kind = "notebook server" if workload.kind is Kind.SERVER else "kernel"
    what = (
        f"{kind} {workload.id[:_SHORT]} of {workload.owner} failed: {why(workload)}"
        if workload.detail or workload.reason
        else f"{kind} {workload.id[:_SHORT]} of {workload.owner} failed"
    )
    log = f"`teamhub kernels logs {workload.id[:_SHORT]}`"
    if workload.kind is Kind.SERVER:
        log = "`teamhub logs`"
    remedy = _REMEDIES.get(workload.reason, _REMEDIES[Reason.ENGINE])
    return Problem(workload.changed_at, " ".join(what.split()), remedy.format(log=log))


def of_process(name: str, last_exit: str, at: datetime, *, running: bool) -> Problem:
    """Return what the end of one of the server's processes means."""
    now = "it runs again" if running else "it is started again in a moment"
    return Problem(at, f"the {name} ended ({last_exit}); {now}", f"see `teamhub logs {name}`")


def newest(problems: Sequence[Problem], count: int) -> list[Problem]:
    """Return the last ones, newest first."""
    return sorted(problems, key=lambda one: one.at, reverse=True)[:count]


def why(workload: Workload) -> str:
    """Return a failed workload's reason and detail."""
    reason = workload.reason.value if workload.reason is not None else ""
    return ": ".join(filter(None, (reason, workload.detail)))
