"""How much memory and CPU a workload gets, as far as this machine lets us say so."""

from __future__ import annotations

import os
import resource
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

CPU_PERIOD_MICROSECONDS = 100_000
_CONTROLLERS = frozenset({"cpu", "memory"})


class Limits(ABC):
    """Holds started workloads to their size. `name` is one workload's, unique on the machine."""

    missing: str
    """One sentence on what is not enforced, empty where all is."""

    @abstractmethod
    def apply(self, name: str, pid: int, cpus: float | None, memory_bytes: int | None) -> None:
        """Limit a process that has just been started, and all that it starts.

        What it has already started, in the moment since, is limited too. A process that has
        ended meanwhile is no fault. Raises OSError where the machine refuses.
        """

    @abstractmethod
    def out_of_memory(self, name: str) -> bool:
        """Return whether something of it was ended because its memory was used up."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Kill what of it still runs, where that is possible here, and forget it. Twice is once."""


class ResourceLimits(Limits):
    """What every machine has: a limit on each process' own data, inherited by its children."""

    def __init__(self) -> None:
        self._memory = hasattr(resource, "prlimit")
        self.missing = (
            "memory is limited for each process, not for a workload as a whole, and CPUs are not "
            "limited: that needs a delegated cgroup v2"
            if self._memory
            else "neither memory nor CPUs are limited on this system"
        )

    def apply(self, name: str, pid: int, cpus: float | None, memory_bytes: int | None) -> None:
        """See Limits."""
        if memory_bytes is None or not self._memory:
            return
        for each in _with_children(pid):
            try:
                resource.prlimit(each, resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
            except ProcessLookupError:
                continue

    def out_of_memory(self, name: str) -> bool:
        """A program that gets no memory decides itself what to do: nothing is known here."""
        return False

    def remove(self, name: str) -> None:
        """There is nothing to forget."""


class CgroupLimits(Limits):
    """A control group (version 2) for each workload: the whole of it is limited and ended."""

    missing = ""

    def __init__(self, parent: Path) -> None:
        """Args:
        parent: a group that is ours, with the controllers handed down; see `delegated`.
        """
        self._parent = parent

    def apply(self, name: str, pid: int, cpus: float | None, memory_bytes: int | None) -> None:
        """See Limits."""
        group = self._parent / name
        group.mkdir(exist_ok=True)
        memory = "max" if memory_bytes is None else str(memory_bytes)
        quota = "max" if cpus is None else str(max(1000, int(cpus * CPU_PERIOD_MICROSECONDS)))
        (group / "memory.max").write_text(memory)
        # The kernel of a notebook should be killed, not its shim with it, which reports it.
        (group / "memory.oom.group").write_text("0")
        (group / "cpu.max").write_text(f"{quota} {CPU_PERIOD_MICROSECONDS}")
        for each in _with_children(pid):
            try:
                (group / "cgroup.procs").write_text(str(each))
            except ProcessLookupError:
                continue

    def out_of_memory(self, name: str) -> bool:
        """See Limits."""
        try:
            lines = (self._parent / name / "memory.events").read_text().splitlines()
        except OSError:
            return False
        events = dict(line.split(maxsplit=1) for line in lines if " " in line)
        return int(events.get("oom_kill", "0")) > 0

    def remove(self, name: str) -> None:
        """See Limits."""
        group = self._parent / name
        if not group.is_dir():
            return
        kill = group / "cgroup.kill"
        if kill.exists():  # since Linux 5.14
            kill.write_text("1")
        try:
            group.rmdir()
        except OSError:
            # What was killed takes a moment to leave: an empty group that stays harms nobody,
            # and the next `remove` of this name takes it away.
            return


def find() -> Limits:
    """Return the best that this machine allows."""
    parent = delegated(Path("/sys/fs/cgroup"), Path("/proc/self/cgroup"), _is_delegated)
    return ResourceLimits() if parent is None else CgroupLimits(parent)


def delegated(mount: Path, membership: Path, is_delegated: Callable[[Path], bool]) -> Path | None:
    """Return a group in which we may make groups with both controllers, None where there is none.

    It is our own group or the one above, and only one that the system has handed over to us
    (systemd's `Delegate=yes`): root could write anywhere in the tree, which is not ours to use.
    Processes in a group keep it from handing controllers down; so those in ours, which are this
    server's, are moved into a group of their own below it.

    Args:
        mount: where cgroup v2 is mounted.
        membership: `/proc/self/cgroup`.
        is_delegated: says whether a group was handed over to us.
    """
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return None
    own = next((line[4:].rstrip("/") for line in lines if line.startswith("0::/")), None)
    if own is None:
        return None
    group = mount / own
    for candidate in (group, group.parent) if own else (group,):
        try:
            controllers = set((candidate / "cgroup.controllers").read_text().split())
            if not controllers >= _CONTROLLERS or not is_delegated(candidate):
                continue
            if not set((candidate / "cgroup.subtree_control").read_text().split()) >= _CONTROLLERS:
                _empty(candidate)
                (candidate / "cgroup.subtree_control").write_text("+cpu +memory")
        except OSError:
            continue
        return candidate
    return None


def _empty(group: Path) -> None:
    inner = group / "teamhub-server"
    inner.mkdir(exist_ok=True)
    for pid in (group / "cgroup.procs").read_text().split():
        (inner / "cgroup.procs").write_text(pid)


def _is_delegated(group: Path) -> bool:
    if not os.access(group, os.W_OK):
        return False
    for name in ("user.delegate", "trusted.delegate"):
        try:
            if os.getxattr(group, name) == b"1":
                return True
        except OSError:
            continue
    return False


def _with_children(pid: int) -> Iterator[int]:
    # The process first: what it starts from then on is limited by inheritance.
    yield pid
    try:
        children = psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return
    for child in children:
        yield child.pid
