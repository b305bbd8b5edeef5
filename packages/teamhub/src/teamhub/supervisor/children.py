"""Processes of ours: how they are started, recognised and ended with all that they started."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from teamhub.logs import as_text

CHILD_VARIABLE = "TEAMHUB_CHILD"
"""In the environment of every process that a supervisor starts; its value is the program's name.

Together with TEAMHUB_DATA_DIR it makes one findable that was started and not yet noted down when
its supervisor was killed. Workloads do not get it: they are to survive.
"""

_CLOCK_SECONDS = 2.0
"""How far two readings of one start time may lie apart when the machine's clock was set."""

_LAST_WORDS_BYTES = 16 * 1024
_LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class Identity:
    """A process id and when that process started: an id alone is soon another's."""

    pid: int
    started_at: float

    @classmethod
    def of(cls, pid: int) -> Identity:
        """Return the identity of a process. Raises psutil.NoSuchProcess."""
        return cls(pid, psutil.Process(pid).create_time())

    def process(self) -> psutil.Process | None:
        """Return the process while it runs, None once it has ended or the id is another's."""
        try:
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.started_at) > _CLOCK_SECONDS:
                return None
            return process if process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.Error:
            return None

    def reused(self) -> bool:
        """True where the id belongs to another process by now."""
        try:
            started_at = psutil.Process(self.pid).create_time()
        except psutil.Error:
            return False
        return abs(started_at - self.started_at) > _CLOCK_SECONDS


@dataclass(frozen=True)
class Program:
    """What a supervisor keeps running.

    Attributes:
        name: a word, for files and tables.
        title: how sentences call it.
        argv: the command. No secret may be in it: everybody can read it.
        env: added to the inherited environment; may hold secrets.
        keeps_to_its_log: it goes on in a new file when its log is renamed (`LogStream`).
    """

    name: str
    title: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    keeps_to_its_log: bool = False


class Child:
    """One process of a program, in a session of its own, its output appended to a log.

    Args:
        program: what to run.
        log: where its output goes.
        working_dir: where it runs.

    Raises:
        OSError: it cannot be started or its log not be opened.
    """

    def __init__(self, program: Program, log: Path, working_dir: Path) -> None:
        self.program = program
        self.log = log
        self.ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            self._log_start = os.fstat(descriptor)
            self._popen = subprocess.Popen(
                program.argv,
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=subprocess.STDOUT,
                cwd=working_dir,
                env={**program.env, CHILD_VARIABLE: program.name},
                start_new_session=True,
            )
        finally:
            os.close(descriptor)
        self._since = time.monotonic()
        self._until: float | None = None
        try:
            self.identity = Identity.of(self._popen.pid)
        except psutil.NoSuchProcess:  # it is ours and not yet waited for, so this cannot be
            self.identity = Identity(self._popen.pid, time.time())
        # A thread of its own: asyncio's ways of waiting differ between systems and versions, and
        # this one must not keep the supervisor from ending.
        threading.Thread(target=self._wait, args=(loop,), daemon=True).start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._popen.pid

    @property
    def life_seconds(self) -> float:
        """How long it has lived."""
        return (self._until or time.monotonic()) - self._since

    def how_it_ended(self) -> str:
        """Return "exit code 3" or "killed by SIGKILL"; "running" while it does."""
        code = self._popen.returncode
        if code is None:
            return "running"
        if code >= 0:
            return f"exit code {code}"
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(-code).name}"
        return f"killed by signal {-code}"

    def last_words(self, lines: int = 12) -> str:
        """Return the last lines that this process, not one before it, wrote to its log."""
        try:
            with self.log.open("rb") as file:
                end = file.seek(0, os.SEEK_END)
                same = os.path.samestat(os.fstat(file.fileno()), self._log_start)
                # It may have been rotated since.
                start = self._log_start.st_size if same and self._log_start.st_size <= end else 0
                file.seek(max(start, end - _LAST_WORDS_BYTES))
                text = file.read().decode(errors="replace")
        except OSError:
            return ""
        return "\n".join(as_text(text).splitlines()[-lines:])

    def _wait(self, loop: asyncio.AbstractEventLoop) -> None:
        self._popen.wait()
        self._until = time.monotonic()
        with contextlib.suppress(RuntimeError):  # the loop has been closed
            loop.call_soon_threadsafe(self.ended.set)


_INHERITED = {
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    "NODE_EXTRA_CA_CERTS",
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    # They run the interpreter that runs us, so they need what it needs to find its modules.
    *("PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "LD_LIBRARY_PATH"),
}
_INHERITED_PREFIXES = ("LC_", "XDG_", "TEAMHUB_")


def inherited(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what of our own environment children get: an allow-list, so that nothing leaks."""
    return {
        name: value
        for name, value in environment.items()
        if name in _INHERITED or name.startswith(_INHERITED_PREFIXES)
    }


def strays(data_dir: Path) -> list[Identity]:
    """Return the processes that some supervisor of this data directory started, by their marks."""
    found = []
    for process in psutil.process_iter():
        try:
            environment = process.environ()
            if (
                CHILD_VARIABLE in environment
                and environment.get("TEAMHUB_DATA_DIR") == str(data_dir)
                and os.getsid(process.pid) == process.pid
                and process.status() != psutil.STATUS_ZOMBIE
            ):
                found.append(Identity(process.pid, process.create_time()))
        except (psutil.Error, OSError):
            continue
    return found


async def end_sessions(leaders: Sequence[Identity], grace_seconds: float) -> list[int]:
    """End processes that lead sessions of their own, with everything in those sessions.

    Each leader is asked (SIGTERM); what is left of its session after it has ended is asked too;
    what remains after the grace is killed. Ending what has ended succeeds.

    Args:
        leaders: their identities.
        grace_seconds: how long they have; 0: killed at once.

    Returns:
        The ids of those that could not be ended (another user's, stuck in the kernel).
    """
    deadline = time.monotonic() + grace_seconds
    if grace_seconds > 0:
        _send(filter(None, (leader.process() for leader in leaders)), signal.SIGTERM)
        await _until(deadline, lambda: not any(leader.process() for leader in leaders))
        if members := _members(leaders):
            _send(members, signal.SIGTERM)
            await _until(deadline, lambda: not _members(leaders))
    deadline = time.monotonic() + 5
    while members := _members(leaders):
        _send(members, signal.SIGKILL)
        if time.monotonic() > deadline:
            return [member.pid for member in members]
        await asyncio.sleep(_LOOK_SECONDS)
    return []


async def _until(deadline: float, true: Callable[[], bool]) -> None:
    """Look at processes that need not be our children, so that nobody tells us when they end."""
    while not true() and time.monotonic() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(_LOOK_SECONDS)


def _members(leaders: Sequence[Identity]) -> list[psutil.Process]:
    """The living processes of the leaders' sessions, the leaders among them."""
    sessions = {leader.pid for leader in leaders if not leader.reused()}
    members = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if os.getsid(process.pid) in sessions and process.status() != psutil.STATUS_ZOMBIE:
                members.append(process)
    return members


def _send(processes: Iterable[psutil.Process], number: int) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.send_signal(number)
