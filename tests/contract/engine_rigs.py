"""What the contract needs from each engine: programs that behave in a known way, and a look at
what really runs that does not go through the engine."""

from __future__ import annotations

import asyncio
import shutil
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

import psutil
from teamhub.engines.base import Engine
from teamhub.engines.directories import sockets_path
from teamhub.engines.fake import FakeEngine, FakeMachine
from teamhub.engines.process import ProcessEngine
from teamhub.model import Handle, Kind, Launch, Observed, Phase

DEADLINE_SECONDS = 20.0


class Program(StrEnum):
    """What the contract's workloads do."""

    READY = "says that it listens on port 4242 and is ready, and stays"
    LISTENING = "says that it listens on port 4242, but never that it is ready, and stays"
    QUIET = "says nothing, and stays"
    EXITS_3 = "writes 'before', a byte that is no text, and 'after', and exits with code 3"
    STUBBORN = "is ready, and does not end when asked"
    FAMILY = "is ready, and has a child in a session of its own"
    ORPHANS = "starts a child in a session of its own, and exits with code 0"
    MISSING = "does not exist"


def deployment() -> str:
    """Return a new deployment's id."""
    return f"d{uuid.uuid4().hex[:8]}"


class Rig(ABC):
    """One machine, on which any number of engines of one kind can be made."""

    stop_timeout_seconds = 5.0
    sees_exit_code_after_adoption = True

    def __init__(self) -> None:
        self.deployment = deployment()

    @abstractmethod
    def engine(self, *, other_deployment: str | None = None) -> Engine:
        """Return a new engine, not opened, that finds what an earlier one has started."""

    @abstractmethod
    def argv(self, program: Program) -> tuple[str, ...]:
        """Return the command of a program."""

    @abstractmethod
    async def act(self, launch: Launch, program: Program) -> None:
        """Let a program that was started do what it does, where it does not do so itself."""

    @abstractmethod
    def running(self, workload_id: str) -> int:
        """Return how many processes of a workload run."""

    @abstractmethod
    def make_exit(self, workload_id: str) -> None:
        """Let the workload end by itself."""

    def launch(
        self, program: Program, *, workload_id: str | None = None, attempt: int = 1
    ) -> Launch:
        """Return what to start, with a new id unless one is given."""
        return Launch(
            deployment=self.deployment,
            workload_id=workload_id or str(uuid.uuid4()),
            kind=Kind.KERNEL,
            attempt=attempt,
            owner="alice",
            argv=self.argv(program),
            env={"PATH": "/usr/bin:/bin", "GREETING": "hello"},
            working_dir="/",
            node="here",
        )

    async def started(self, engine: Engine, program: Program, phase: Phase) -> Handle:
        """Start a program and return its handle once it has come to a phase."""
        events = engine.events()
        launch = self.launch(program)
        handle = await engine.start(launch)
        await self.act(launch, program)
        await until(engine, handle, lambda seen: seen.phase is phase, events)
        return handle


class FakeRig(Rig):
    """Engine `fake`."""

    def __init__(self) -> None:
        super().__init__()
        self.machine = FakeMachine()
        self.machine.missing_commands.add(Program.MISSING)

    def engine(self, *, other_deployment: str | None = None) -> Engine:
        return FakeEngine(other_deployment or self.deployment, self.machine)

    def argv(self, program: Program) -> tuple[str, ...]:
        return (program,)

    async def act(self, launch: Launch, program: Program) -> None:
        workload_id = launch.workload_id
        match program:
            case Program.READY | Program.FAMILY:
                self.machine.make_ready(workload_id, 4242)
            case Program.STUBBORN:
                self.machine.disobey(workload_id)
                self.machine.make_ready(workload_id, 4242)
            case Program.LISTENING:
                self.machine.listen(workload_id, 4242)
            case Program.EXITS_3:
                self.machine.write(workload_id, "before\n\ufffd\nafter\n")
                self.machine.exit(workload_id, 3)
            case Program.ORPHANS:
                self.machine.exit(workload_id, 0)

    def running(self, workload_id: str) -> int:
        return int(self.machine.running(workload_id))

    def make_exit(self, workload_id: str) -> None:
        self.machine.exit(workload_id, 0)


# Says where it listens the way a workload should: by rename, then a word to the engine, which
# may not be there to hear it.
_SAY = """import os,socket
f=os.environ['TEAMHUB_ADDRESS_FILE']
with open(f+'.new','w') as new: new.write('{"port": 4242, "ready": %s}')
os.rename(f+'.new',f)
workload=os.environ['TEAMHUB_WORKLOAD'].split('/')[1].encode()
try: socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM).sendto(
 workload,os.environ['TEAMHUB_WAKE_SOCKET'])
except OSError: pass
"""
_STAY = "os.execvp('sleep',['sleep','600'])"
_EXIT_3 = r"echo before; printf '\377\n' >&2; echo after; exit 3"
_DEAF = "import signal;signal.signal(signal.SIGTERM,signal.SIG_IGN)\n"
_CHILD = "import subprocess;subprocess.Popen(['sleep','600'],start_new_session=True)\n"


class ProcessRig(Rig):
    """Engine `process`."""

    sees_exit_code_after_adoption = False

    def __init__(self, data_dir: Path, python: str, stop_timeout_seconds: float = 5) -> None:
        super().__init__()
        self.data_dir = data_dir
        self.stop_timeout_seconds = stop_timeout_seconds
        self._python = python

    def engine(self, *, other_deployment: str | None = None) -> ProcessEngine:
        data_dir = self.data_dir / other_deployment if other_deployment else self.data_dir
        return ProcessEngine(
            other_deployment or self.deployment, data_dir, self.stop_timeout_seconds
        )

    def argv(self, program: Program) -> tuple[str, ...]:
        return {
            Program.READY: self.python(_SAY % "true" + _STAY),
            Program.LISTENING: self.python(_SAY % "false" + _STAY),
            Program.QUIET: ("/bin/sh", "-c", "exec sleep 600"),
            Program.EXITS_3: (
                "/bin/sh",
                "-c",
                r"echo before; printf '\377\n' >&2; echo after; exit 3",
            ),
            Program.STUBBORN: self.python(_DEAF + _SAY % "true" + _STAY),
            Program.FAMILY: self.python(_CHILD + _SAY % "true" + _STAY),
            Program.ORPHANS: ("/bin/sh", "-c", "setsid sleep 600 & exit 0"),
            Program.MISSING: ("/no/such/command", "here"),
        }[program]

    def python(self, code: str) -> tuple[str, ...]:
        """Return the command that runs a line of Python, without anything that takes time."""
        return (self._python, "-I", "-S", "-c", code)

    async def act(self, launch: Launch, program: Program) -> None:
        """Processes act by themselves."""

    def processes(self, workload_id: str) -> list[psutil.Process]:
        """Return the processes of a workload, found without the engine's own code."""
        prefix = f"{self.deployment}/{workload_id}"
        return [each for each in psutil.process_iter() if _marker(each).startswith(prefix)]

    def running(self, workload_id: str) -> int:
        return len(self.processes(workload_id))

    def make_exit(self, workload_id: str) -> None:
        for process in self.processes(workload_id):
            process.kill()

    def kill_everything(self) -> None:
        """End what a test has left, and delete what lies outside its data directory."""
        self.make_exit("")
        shutil.rmtree(sockets_path(self.data_dir, self.deployment), ignore_errors=True)


def _marker(process: psutil.Process) -> str:
    """The marker of a running process, empty where there is none."""
    try:
        while process.status() != psutil.STATUS_ZOMBIE:
            environment = process.environ()
            # Both are empty for a kernel thread, and while a program is being executed; that may
            # begin or end between the two.
            settled = environment or process.cmdline() or process.pid == 2 or process.ppid() == 2
            if settled and environment == process.environ():
                return environment.get("TEAMHUB_WORKLOAD", "")
    except (psutil.Error, OSError):
        pass
    return ""


async def until(
    engine: Engine,
    handle: Handle,
    met: Callable[[Observed], bool],
    events: object | None = None,
) -> Observed:
    """Inspect at every event until a condition is met; fail when the deadline has passed.

    `events`: an iterator that began before what is waited for could happen.
    """
    waiting = events if events is not None else engine.events()
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not met(seen := await engine.inspect(handle)):
            await anext(waiting)  # type: ignore[call-overload]
        return seen
