"""Engine `process`: everything runs as processes of this machine.

For a trial and for development: no border between members unless each has a uid of their own
(see `border`). A workload is a session of its own, carries a marker in its environment that all
it starts inherits, and has a directory (see `directories`). So it is found again by whoever
comes after a crash, from the directory or from the process alone.
"""

from __future__ import annotations

import asyncio
import os
import platform
import signal
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import psutil
from teamhub_shim.protocol import (
    ADDRESS_FILE_VARIABLE,
    RUNTIME_DIR_VARIABLE,
    WAKE_SOCKET_VARIABLE,
)

from teamhub.engines import limits, processes
from teamhub.engines.base import Engine
from teamhub.engines.border import NO_BORDER, uid_per_member_possible
from teamhub.engines.directories import Directories, Directory, valid_name
from teamhub.engines.events import Events
from teamhub.engines.exits import Exits
from teamhub.engines.leader import Leader, attempt_of
from teamhub.engines.locks import Locks
from teamhub.engines.logs import ended_logs, forget_logs
from teamhub.engines.processes import MARKER_VARIABLE, Process
from teamhub.engines.spawn import group_of, spawn
from teamhub.engines.wake import WakeSocket
from teamhub.errors import EngineError
from teamhub.model import Handle, Launch, Node, Observed, Phase
from teamhub.reasons import Reason

__all__ = ["NO_BORDER", "ProcessEngine", "uid_per_member_possible"]

KILL_TIMEOUT_SECONDS = 10.0
"""How long what was killed may take to be gone; longer only where the kernel itself hangs."""

_T = TypeVar("_T")


class ProcessEngine(Engine):
    """Workloads as processes of this machine.

    `Launch.node` is not looked at: there is one. A workload is told, besides `Launch.env`,
    `TEAMHUB_WORKLOAD`, `TEAMHUB_ADDRESS_FILE`, `TEAMHUB_RUNTIME_DIR` (short enough for unix
    sockets) and `TEAMHUB_WAKE_SOCKET`; nothing of the engine's own environment. It must listen
    on 127.0.0.1 alone. The address file holds `{"port": n, "ready": bool}`, written by rename.
    """

    name = "process"

    def __init__(
        self,
        deployment: str,
        data_dir: Path,
        stop_timeout_seconds: float = 10,
        size_limits: limits.Limits | None = None,
    ) -> None:
        """Args:
        deployment: the deployment's id, which everything started will carry.
        data_dir: the deployment's; `workloads` in it belongs to this engine.
        stop_timeout_seconds: how long a workload may take to end before it is killed.
        size_limits: how sizes are enforced; None: the best that this machine allows.
        """
        _check_name(deployment)
        self._deployment = deployment
        self._directories = Directories(data_dir, deployment)
        self._ended_logs = ended_logs(data_dir)
        self._stop_timeout_seconds = stop_timeout_seconds
        self._limits = size_limits
        self._locks = Locks(self._directories.workloads)
        self._events = Events()
        self._exits = Exits(self._ended)
        self._wake = WakeSocket(self._directories.wake_socket, self._woken)
        self._watched: dict[tuple[int, str], str] = {}
        self._doing: set[asyncio.Task[Any]] = set()
        self._is_open = False

    async def open(self) -> None:
        """See Engine. Watches what already runs, so that its end becomes an event."""
        if self._is_open:
            return
        with _told("engine process cannot be opened"):
            self._directories.open()
            self._limits = self._limits or await asyncio.to_thread(limits.find)
            self._wake.open()
        self._is_open = True
        await self.owned()

    async def close(self) -> None:
        """See Engine. Waits for starts and removals that are under way."""
        while self._doing:
            await asyncio.wait(set(self._doing))
        was_open, self._is_open = self._is_open, False
        self._exits.close()
        self._watched.clear()
        self._wake.close()
        if was_open:
            self._directories.close()

    async def nodes(self) -> Sequence[Node]:
        """See Engine. The detail says which limits this machine cannot enforce."""
        affinity = getattr(os, "sched_getaffinity", None)
        cpus = len(affinity(0)) if affinity else psutil.cpu_count() or 1
        memory_bytes = psutil.virtual_memory().total
        return [Node(platform.node(), float(cpus), memory_bytes, True, self._opened().missing)]

    async def start(self, launch: Launch) -> Handle:
        """See Engine."""
        return await self._alone(launch.workload_id, self._start(launch))

    async def inspect(self, handle: Handle) -> Observed:
        """See Engine. The exit code is None where this process was not the parent."""
        leader = Leader.of(handle)
        _check_name(leader.workload_id)
        self._opened()
        with _told(f"{leader.workload_id} cannot be inspected"):
            return self._observe(leader)

    async def logs(self, handle: Handle, tail: int = 200) -> str:
        """See Engine. At most the last MiB of the log is looked at."""
        leader = Leader.of(handle)
        _check_name(leader.workload_id)
        self._opened()
        directory = self._directories.of(leader.workload_id)
        with _told(f"the log of {leader.workload_id} cannot be read"):
            if directory.handle() != handle:
                return ""
            return await asyncio.to_thread(directory.log_lines, tail)

    async def remove(self, handle: Handle) -> None:
        """See Engine. What does not end although it was killed is an EngineError."""
        leader = Leader.of(handle)
        await self._alone(leader.workload_id, self._remove(leader))

    async def owned(self) -> Sequence[Observed]:
        """See Engine. A workload is found by its directory, or by its marker without one."""
        self._opened()
        prefix = f"{self._deployment}/"
        with _told("what runs cannot be listed"):
            marked: dict[str, list[Process]] = {each: [] for each in self._directories.ids()}
            for process in await asyncio.to_thread(processes.snapshot):
                workload_id = process.marker.removeprefix(prefix).rpartition("/")[0]
                if process.marker.startswith(prefix) and valid_name(workload_id):
                    marked.setdefault(workload_id, []).append(process)
            found = [await self._adopt(each, its) for each, its in marked.items()]
        return [observed for observed in found if observed is not None]

    def events(self) -> AsyncIterator[str]:
        """See Engine. Begins with what happens after this call; any number may listen."""
        return self._events.listen()

    # -- starting

    async def _start(self, launch: Launch) -> Handle:
        directory = self._directories.of(launch.workload_id)
        known = _recorded(directory) or await self._unrecorded(launch, directory)
        if known is not None:
            if known.attempt > launch.attempt:
                detail = f"attempt {known.attempt} is there, {launch.attempt} comes too late"
                raise EngineError(Reason.ENGINE, detail)
            if known.attempt == launch.attempt:
                self._watch(known)
                return known.handle
            await self._end(known, directory)
        leader = await asyncio.to_thread(self._spawn, launch, directory)
        self._watch(leader)
        self._events.publish(launch.workload_id)
        return leader.handle

    async def _unrecorded(self, launch: Launch, directory: Directory) -> Leader | None:
        """What a start that was interrupted by a crash has left: adopted, or removed."""
        marked = await asyncio.to_thread(self._marked, launch.workload_id)
        expected = os.geteuid() if launch.uid is None else launch.uid
        for attempt in sorted({attempt_of(p.marker) for p in marked}, reverse=True):
            its = [process for process in marked if attempt_of(process.marker) == attempt]
            leader = Leader.among(launch.workload_id, attempt, its)
            head = next(process for process in its if process.pid == leader.pid)
            # Only as the right user: a marker is no proof of who set it.
            if attempt == launch.attempt and head.leads_session and head.uid == expected:
                if not directory.path.exists():
                    await asyncio.to_thread(directory.create, launch.uid, group_of(launch))
                directory.write_handle(leader.handle)
                return leader
            await self._end(leader, directory)
        return None

    def _spawn(self, launch: Launch, directory: Directory) -> Leader:
        """Start the process and record it. Runs in a thread."""
        environment = {
            **launch.env,
            MARKER_VARIABLE: f"{launch.label}/{launch.attempt}",
            ADDRESS_FILE_VARIABLE: str(directory.address_file),
            RUNTIME_DIR_VARIABLE: str(directory.runtime),
            WAKE_SOCKET_VARIABLE: str(self._directories.wake_socket),
        }
        # Again, since what lies below a temporary directory may have been tidied away.
        self._directories.open()
        directory.wipe()
        try:
            directory.create(launch.uid, group_of(launch), launch)
            pid = spawn(launch, environment, directory.log)
        except BaseException:
            directory.wipe()
            raise
        process = processes.find(pid)
        started = "" if process is None else process.started
        leader = Leader(launch.workload_id, launch.attempt, pid, started)
        try:
            directory.write_handle(leader.handle)
            name = self._limits_name(launch.workload_id)
            self._opened().apply(name, pid, launch.cpus, launch.memory_bytes)
        except BaseException:
            # The directory stays: the next start or removal finds what it needs to clean up.
            processes.send(pid, started, signal.SIGKILL)
            raise
        return leader

    # -- ending

    async def _remove(self, leader: Leader) -> None:
        directory = self._directories.of(leader.workload_id)
        known = _recorded(directory)
        if known is not None and known != leader:
            return  # a later start has already removed what this handle stood for
        await self._end(leader, directory)
        self._events.publish(leader.workload_id)

    async def _end(self, leader: Leader, directory: Directory) -> None:
        """Ask, wait, kill, verify, delete."""
        marker = f"{self._deployment}/{leader.workload_id}/{leader.attempt}"
        uid = directory.owner()

        def running() -> set[tuple[int, str]]:
            ours = processes.belonging(processes.snapshot(), marker, *leader.process, uid)
            return {(process.pid, process.started) for process in ours}

        # Seen now, since a daemon that cleaned its environment is known by its parent alone.
        before = await asyncio.to_thread(running)
        if processes.send(*leader.process, signal.SIGTERM):
            await self._exits.wait(*leader.process, self._stop_timeout_seconds)
        left = {process for process in before if processes.runs(*process)}
        left |= await asyncio.to_thread(running)
        deadline = asyncio.get_running_loop().time() + KILL_TIMEOUT_SECONDS
        while left:
            for process in left:
                processes.send(*process, signal.SIGKILL)
            for process in left:
                remaining = deadline - asyncio.get_running_loop().time()
                if not await self._exits.wait(*process, max(0, remaining)):
                    detail = f"process {process[0]} was killed and does not end"
                    raise EngineError(Reason.ENGINE, f"{leader.workload_id}: {detail}")
            # Whatever was started while we looked.
            left = await asyncio.to_thread(running)
        processes.reap(*leader.process)
        self._opened().remove(self._limits_name(leader.workload_id))
        await asyncio.to_thread(self._wipe, directory)

    def _wipe(self, directory: Directory) -> None:
        directory.keep_log(self._ended_logs)
        directory.wipe()
        forget_logs(self._ended_logs)

    # -- seeing

    def _observe(self, leader: Leader) -> Observed:
        directory = self._directories.of(leader.workload_id)
        seen = Observed(leader.workload_id, Phase.GONE, leader.attempt, leader.handle)
        recorded = _recorded(directory) == leader
        if recorded:
            directory.cut_log()
        head = processes.find(leader.pid)
        if head and head.started == leader.started and not head.ended and head.leads_session:
            self._watch(leader)
            address, ready = directory.address()
            detail = "" if recorded else "its directory is missing"
            phase = Phase.READY if ready else Phase.STARTING
            return replace(seen, phase=phase, address=address, detail=detail)
        if not recorded:
            return seen
        code = processes.reap(*leader.process)
        if code is not None:
            directory.write_exit(code)
        code = directory.exit_code()
        killed = code in {None, -signal.SIGKILL}
        memory = killed and self._opened().out_of_memory(self._limits_name(leader.workload_id))
        reason = Reason.OUT_OF_MEMORY if memory else None
        return replace(seen, phase=Phase.EXITED, exit_code=code, reason=reason)

    async def _adopt(self, workload_id: str, marked: Sequence[Process]) -> Observed | None:
        """What is to be said of one workload; what a crash left half done is put right."""
        directory = self._directories.of(workload_id)
        leader = _recorded(directory)
        if leader is not None:
            return self._observe(leader)
        if self._locks.busy(workload_id):
            return None  # being started or removed at this moment: that call answers for it
        if not marked:
            # A start that never came to a process: nobody has a handle of it.
            await self._alone(workload_id, self._clear(directory))
            return None
        attempt = max(attempt_of(process.marker) for process in marked)
        its = [process for process in marked if attempt_of(process.marker) == attempt]
        leader = Leader.among(workload_id, attempt, its)
        if directory.owner() in {process.uid for process in its if process.pid == leader.pid}:
            await self._alone(workload_id, self._record(leader, directory))
        observed = self._observe(leader)
        # Where only children are left of it, they are remains to be removed.
        return replace(observed, phase=Phase.EXITED) if observed.phase is Phase.GONE else observed

    @staticmethod
    async def _record(leader: Leader, directory: Directory) -> None:
        if directory.path.exists() and _recorded(directory) is None:
            directory.write_handle(leader.handle)

    async def _clear(self, directory: Directory) -> None:
        marked = await asyncio.to_thread(self._marked, directory.path.name)
        if _recorded(directory) is None and not marked:
            await asyncio.to_thread(directory.wipe)

    def _marked(self, workload_id: str) -> list[Process]:
        prefix = f"{self._deployment}/{workload_id}/"
        return [each for each in processes.snapshot() if each.marker.startswith(prefix)]

    # -- being told

    def _watch(self, leader: Leader) -> None:
        if self._is_open and processes.runs(*leader.process):
            self._watched[leader.process] = leader.workload_id
            self._exits.watch(*leader.process)

    def _ended(self, pid: int, started: str, code: int | None) -> None:
        workload_id = self._watched.pop((pid, started), None)
        if workload_id is None:
            return
        directory = self._directories.of(workload_id)
        leader = _recorded(directory)
        if code is not None and leader is not None and leader.process == (pid, started):
            directory.write_exit(code)
        self._events.publish(workload_id)

    def _woken(self, text: str) -> None:
        # Anybody may send: only what names a workload of ours is passed on.
        if valid_name(text) and self._directories.of(text).path.is_dir():
            self._events.publish(text)

    # -- for all of these

    async def _alone(self, workload_id: str, work: Coroutine[Any, Any, _T]) -> _T:
        """Do something while nobody else does anything to this workload.

        It goes on where the caller is cancelled: what a thread is at cannot be stopped, and
        must not lose its lock.
        """

        async def locked() -> _T:
            with _told(workload_id):
                async with self._locks.hold(workload_id):
                    return await work

        try:
            _check_name(workload_id)
            self._opened()
        except EngineError:
            work.close()
            raise
        task = asyncio.create_task(locked())
        self._doing.add(task)
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._doing.discard(task)
        if not task.cancelled():
            task.exception()  # seen, also where the caller was cancelled

    def _opened(self) -> limits.Limits:
        if not self._is_open or self._limits is None:
            raise EngineError(Reason.ENGINE, "engine process is not open")
        return self._limits

    def _limits_name(self, workload_id: str) -> str:
        return f"teamhub-{self._deployment}-{workload_id}"


@contextmanager
def _told(about: str) -> Iterator[None]:
    """What the system refuses becomes an EngineError that says what it was about."""
    try:
        yield
    except (OSError, ValueError, psutil.Error) as error:
        raise EngineError(Reason.ENGINE, f"{about}: {error}") from error


def _check_name(name: str) -> None:
    if not valid_name(name):
        raise EngineError(Reason.ENGINE, f"{name!r} cannot be the name of a directory")


def _recorded(directory: Directory) -> Leader | None:
    handle = directory.handle()
    if handle is None:
        return None
    try:
        return Leader.of(handle)
    except EngineError:
        return None
