"""What to do about what has become of a kernel or notebook server."""

from __future__ import annotations

from teamhub.model import Kind, Status, Workload
from teamhub.reasons import Reason

_REMEDIES = {
    Reason.COMMAND_NOT_FOUND: (
        "check `argv` and `prefix` of its environment in teamhub.toml, and that its owner may "
        "execute that file"
    ),
    Reason.EXITED_AT_START: (
        "the log below says why; most often a package is missing in its environment, or a file in "
        "the owner's home (~/.ipython) breaks it"
    ),
    Reason.START_TIMEOUT: (
        "the machine may be busy or the home on a slow disk; `start_timeout_seconds` in "
        "teamhub.toml gives it longer"
    ),
    Reason.EXITED: "the log below has its last words; its owner can start it again",
    Reason.KILLED: "look into the machine's own log (`journalctl -k`) for who has killed it",
    Reason.OUT_OF_MEMORY: "let its owner choose a larger size, or give the size more `memory`",
    Reason.VANISHED: "nothing, if the machine was restarted; its owner can start it again",
    Reason.NO_SUCH_ENVIRONMENT: (
        "put the environment or size back into teamhub.toml, or let its owner choose another kernel"
    ),
    Reason.ENGINE: "the line above has the engine's own words; `teamhub status` says what runs",
}


def remedy(workload: Workload) -> str:
    """Return what to do about a workload as it is, empty where there is nothing to do."""
    if workload.status is Status.FAILED:
        return _REMEDIES.get(workload.reason, "") if workload.reason is not None else ""
    if workload.status is Status.QUEUED:
        what = "kernels" if workload.kind is Kind.KERNEL else "servers"
        return f"it waits for its turn; `teamhub {what} list` says what runs"
    return ""
