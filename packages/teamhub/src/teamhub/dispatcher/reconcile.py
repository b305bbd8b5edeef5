"""What to do next with one workload: a pure function, the whole of the life cycle.

::

    QUEUED ─► PLACED ─► STARTING ─► RUNNING ─► STOPPING ─► STOPPED
                           └───────────┴─► FAILED(reason)

Never backwards. A process of an engine can exist only from STARTING on: the row says so before
the engine is asked, so whatever a crash leaves behind is found by this same function.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from teamhub.model import Address, Desired, Observed, Phase, Status, Workload
from teamhub.reasons import Reason


class Act(StrEnum):
    """What the dispatcher is to do."""

    NOTHING = "nothing"
    """Wait: for an event, a place, or for ever."""
    PLACE = "place"
    """Ask queue and placement for a node."""
    LAUNCH = "launch"
    """Call the engine's `start`, which is idempotent, and note the handle."""
    MOVE = "move"
    """Write the status that the step names, and nothing else."""
    REMOVE = "remove"
    """Call the engine's `remove`, then write the status that the step names."""
    BURY = "bury"
    """It ended by itself: read its log, write the status, then remove its remains."""


@dataclass(frozen=True)
class Step:
    """One thing to do, and the status it leads to (None: unchanged)."""

    act: Act
    status: Status | None = None
    reason: Reason | None = None
    detail: str = ""
    address: Address | None = None


_WAIT = Step(Act.NOTHING)


def next_step(
    workload: Workload,
    observed: Observed | None,
    now: datetime,
    start_timeout_seconds: float,
) -> Step:
    """Decide what to do next.

    Args:
        workload: the row.
        observed: what the engine sees of it; None where it was not asked, which is right for a
            workload without a handle.
        now: the present moment.
        start_timeout_seconds: how long it may be STARTING.

    Returns:
        The step. Done twice, or done after a crash in the middle, it comes to the same.
    """
    if workload.status.ended:
        return _WAIT
    if workload.desired is Desired.STOPPED:
        return _towards_stop(workload)
    match workload.status:
        case Status.QUEUED:
            return Step(Act.PLACE)
        case Status.PLACED:
            return Step(Act.MOVE, Status.STARTING)
        case Status.STOPPING:
            return Step(Act.REMOVE, Status.STOPPED)
    if workload.handle is None or observed is None:
        return Step(Act.LAUNCH)
    match observed.phase:
        case Phase.EXITED:
            return _ended(workload, observed)
        case Phase.GONE:
            detail = "it is gone, and nothing was seen of its end (was the machine restarted?)"
            return Step(Act.BURY, Status.FAILED, Reason.VANISHED, detail)
        case Phase.READY if workload.status is Status.STARTING:
            return Step(Act.MOVE, Status.RUNNING, address=observed.address)
    if workload.status is Status.STARTING:
        if now - workload.changed_at > timedelta(seconds=start_timeout_seconds):
            detail = f"it was not ready within {start_timeout_seconds:g} seconds"
            return Step(Act.BURY, Status.FAILED, Reason.START_TIMEOUT, detail)
        if observed.address is not None and observed.address != workload.address:
            return Step(Act.MOVE, Status.STARTING, address=observed.address)
    return _WAIT


def _towards_stop(workload: Workload) -> Step:
    match workload.status:
        case Status.QUEUED | Status.PLACED:
            return Step(Act.MOVE, Status.STOPPED)
        case Status.STOPPING:
            return Step(Act.REMOVE, Status.STOPPED)
    return Step(Act.MOVE, Status.STOPPING)


def _ended(workload: Workload, observed: Observed) -> Step:
    if observed.reason is not None:
        detail = observed.detail or _how(observed.exit_code)
        return Step(Act.BURY, Status.FAILED, observed.reason, detail)
    code = observed.exit_code
    if workload.status is Status.STARTING:
        return Step(
            Act.BURY, Status.FAILED, Reason.EXITED_AT_START, _how(code, " before it was ready")
        )
    if code == 0:
        return Step(Act.BURY, Status.STOPPED, Reason.EXITED, _how(code))
    reason = Reason.KILLED if code is not None and code < 0 else Reason.EXITED
    return Step(Act.BURY, Status.FAILED, reason, _how(code))


def _how(code: int | None, when: str = "") -> str:
    if code is None:
        return f"it ended{when}"
    if code < 0:
        return f"it was ended by signal {-code}{when}"
    return f"it ended with exit code {code}{when}"
