"""The processes of this machine: who they are, what they belong to, and signals that cannot miss.

A process is known by its id *and* its start, since ids are used again. On Linux the start is the
raw tick count of /proc/<pid>/stat with the boot's id: a wall-clock time derived from it moves
when the clock is set. Everything here is synchronous and safe in any thread.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import psutil

MARKER_VARIABLE = "TEAMHUB_WORKLOAD"
"""`<deployment>/<workload id>/<attempt>`, inherited by all that a workload starts."""

_PROC = Path("/proc")
HAS_PROC = (_PROC / "self" / "stat").exists()
_ZOMBIE_STATES = frozenset("ZXx")
# A program takes some microseconds to be executed, on a busy machine some milliseconds.
_EXECUTING_SECONDS = 0.001
_EXECUTING_LOOKS = 50


@dataclass(frozen=True)
class Process:
    """One process at one moment.

    Attributes:
        started: what tells it from every other process that has had or will have this id.
        ended: True for a zombie: it runs no more, its parent has not yet asked for its exit code.
        marker: the value of MARKER_VARIABLE at its start; empty where there is none, where it
            may not be read, or where it was not asked for.
    """

    pid: int
    started: str
    parent: int
    session: int
    ended: bool
    uid: int
    marker: str = ""

    @property
    def leads_session(self) -> bool:
        """True for what was started as a workload, False for what a workload started itself."""
        return self.pid == self.session

    @property
    def age_key(self) -> float:
        """Smaller for what was started earlier, among the processes of one boot."""
        return float(self.started.partition("@")[0])


def find(pid: int, *, marker: bool = False) -> Process | None:
    """Return the process with this id, zombies included, None where there is none.

    Args:
        pid: its id; anything below 1 is nobody's.
        marker: whether to read its marker too.
    """
    if pid < 1:
        return None
    try:
        return _from_proc(pid, marker) if HAS_PROC else _from_psutil(pid, marker)
    except (OSError, psutil.Error, ValueError, IndexError):
        return None


def snapshot() -> list[Process]:
    """Return all running processes with their markers; no zombies.

    Takes some milliseconds, so it belongs in a thread.
    """
    found = (find(pid, marker=True) for pid in psutil.pids())
    return [process for process in found if process is not None and not process.ended]


def runs(pid: int, started: str) -> bool:
    """Return whether exactly this process runs; False for a zombie or another with its id."""
    process = find(pid)
    return process is not None and not process.ended and process.started == started


def belonging(
    processes: Iterable[Process], marker: str, pid: int, started: str, uid: int | None
) -> list[Process]:
    """Return those of `processes` that belong to one workload: all that have its marker, its
    leader, what is in the leader's session, and the descendants of all these.

    So a child that made a session of its own is found by the marker, one that also cleaned its
    environment by its parent. What carries another workload's marker is never included, and
    neither is the calling process. The session counts only while its id is not another's, and
    for processes of the workload's own user: a session id too can be used again.

    Args:
        processes: from `snapshot`.
        marker: the workload's.
        pid: its leader.
        started: its leader's start; empty where no leader is known.
        uid: the user it runs as; None: whoever.
    """
    everything = {p.pid: p for p in processes if p.pid != os.getpid() and p.marker in {"", marker}}
    head = everything.get(pid)
    session_is_ours = bool(started) and (head is None or head.started == started)
    ours: dict[int, Process] = {}
    for process in everything.values():
        in_session = session_is_ours and process.session == pid and uid in {None, process.uid}
        is_leader = process.pid == pid and bool(started) and process.started == started
        if process.marker == marker or in_session or is_leader:
            ours[process.pid] = process
    grown = True
    while grown:
        children = [p for p in everything.values() if p.pid not in ours and p.parent in ours]
        ours.update((p.pid, p) for p in children)
        grown = bool(children)
    return list(ours.values())


def send(pid: int, started: str, number: signal.Signals) -> bool:
    """Send a signal to exactly this process. Return False where it does not run any more."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    except (AttributeError, OSError):
        # No pidfd on this system: what remains is the moment between look and kill.
        if not runs(pid, started):
            return False
        os.kill(pid, number)
        return True
    try:
        if not runs(pid, started):
            return False
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True


def reap(pid: int, started: str) -> int | None:
    """Return the exit code of a child of this process that has ended, and let it go.

    None where it still runs, was reaped before, or is not a child of ours. Call it from one
    thread only: between the look and the wait its id could otherwise become another child's.
    """
    process = find(pid)
    if process is None or process.started != started:
        return None
    try:
        reaped, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return None
    return os.waitstatus_to_exitcode(status) if reaped else None


def _from_proc(pid: int, marker: bool) -> Process:
    directory = _PROC / str(pid)
    fields = _stat(directory)
    return Process(
        pid=pid,
        started=f"{fields[19]}@{_boot()}",
        parent=int(fields[1]),
        session=int(fields[3]),
        # Of several threads the first may be a zombie while others run, or are still ending:
        # only with the last of them is there an exit code.
        ended=fields[0] in _ZOMBIE_STATES and int(fields[17]) <= 1,
        uid=directory.stat().st_uid,
        marker=_marker(directory) if marker else "",
    )


def _stat(directory: Path) -> list[str]:
    """The fields of a process' stat, from the third, its state."""
    # The name of the command comes in brackets and may hold anything, brackets and spaces too.
    return (directory / "stat").read_text(errors="replace").rpartition(")")[2].split()


def _marker(directory: Path) -> str:
    environment = b""
    try:
        for _ in range(_EXECUTING_LOOKS):
            # Looked at before it is read: else it could be done with in between.
            executing = _is_executing(_stat(directory))
            environment = (directory / "environ").read_bytes()
            if environment or not executing:
                break
            time.sleep(_EXECUTING_SECONDS)
    except OSError:
        return ""
    value = (b"\0" + environment).partition(f"\0{MARKER_VARIABLE}=".encode())[2]
    return value.partition(b"\0")[0].decode(errors="replace")


def _is_executing(fields: Sequence[str]) -> bool:
    """Return whether a process is just becoming another program.

    Whoever started it already goes on by then, and its new environment cannot be seen yet: the
    end of the environment, field 51, is still 0. It also is for a thread of the kernel and for
    what is about to end: these have flags (PF_KTHREAD, PF_EXITING).
    """
    never = int(fields[6]) & (0x00200000 | 0x00000004)
    return fields[48] == "0" and not never and fields[0] not in _ZOMBIE_STATES


def _from_psutil(pid: int, marker: bool) -> Process:
    process = psutil.Process(pid)
    value = ""
    if marker:
        try:
            value = process.environ().get(MARKER_VARIABLE, "")
        except (OSError, psutil.Error):
            value = ""
    return Process(
        pid=pid,
        started=repr(process.create_time()),
        parent=process.ppid(),
        session=os.getsid(pid),
        ended=process.status() == psutil.STATUS_ZOMBIE,
        uid=process.uids().real,
        marker=value,
    )


@lru_cache(maxsize=1)
def _boot() -> str:
    """Ticks count from the boot: after another boot the same number means another process."""
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
