"""One kernel process, and the sockets towards it."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import zmq

from teamhub_shim.directory import RuntimeDirectory
from teamhub_shim.loop import send_frames
from teamhub_shim.output import Output, Tail
from teamhub_shim.protocol import CHANNELS, MARKER_VARIABLE, Spec
from teamhub_shim.wire import Signer

NOT_FOUND_EXIT_CODE = 127
OOM_SCORE_RAISE = 500
"""By how much sooner than the shim the kernel is ended when memory runs out."""
DRAIN_SECONDS = 0.2
"""How long a dead kernel's sockets may take to run dry, should a child of it hold them open."""

_RECONNECT_MS = 10
_KERNEL_THREAD = 1
_PR_SET_PDEATHSIG = 1
_COMMAND_FAULTS = frozenset(
    {errno.ENOENT, errno.EACCES, errno.ENOTDIR, errno.ENOEXEC, errno.ELOOP, errno.EISDIR}
)


class CommandError(Exception):
    """The kernel's command could not be started; the message is one line for a person."""

    def __init__(self, detail: str, not_found: bool) -> None:
        super().__init__(detail)
        self.not_found = not_found


class Kernel:
    """A kernel process from its start to its end; a restart makes another of these.

    Args:
        context: where its sockets live.
        spec: what to start.
        directory: where the sockets and the connection file are.
        attempt: the number of this process, from 0.
        key: the HMAC key between shim and kernel.
        tail: keeps the last lines that it writes.
        identity: the routing id of shell, control and stdin alike, as `input_request` needs.

    Raises:
        CommandError: the command does not exist, may not be executed, or could not be started.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        spec: Spec,
        *,
        directory: RuntimeDirectory,
        attempt: int,
        key: bytes,
        tail: Tail,
        identity: bytes,
    ) -> None:
        self._directory = directory
        self._attempt = attempt
        self._signer = Signer(key)
        self._process = _start(spec, directory, attempt, key)
        assert self._process.stdout is not None
        self.output = Output(os.dup(self._process.stdout.fileno()), tail)
        self._process.stdout.close()
        self.pid = self._process.pid
        self.exit_code: int | None = None
        _raise_oom_score(self.pid)
        self.sockets: dict[str, zmq.Socket[bytes]] = {}
        self._monitors: list[zmq.Socket[bytes]] = []
        self._unconnected = list(CHANNELS)
        for channel in CHANNELS:
            kind = zmq.SUB if channel == "iopub" else zmq.DEALER
            socket = self.sockets[channel] = context.socket(kind)
            socket.linger = 0
            # A full queue would make the kernel's own sockets drop what they send.
            socket.rcvhwm = socket.sndhwm = 0
            socket.reconnect_ivl = _RECONNECT_MS
            # Reading from the kernel must not wait for encrypting towards the gateway.
            socket.setsockopt(zmq.AFFINITY, _KERNEL_THREAD)
            if channel == "iopub":
                socket.subscribe(b"")
            else:
                socket.routing_id = identity
            self._monitors.append(
                socket.get_monitor_socket(zmq.EVENT_CONNECTED | zmq.EVENT_DISCONNECTED)
            )

    def connect(self) -> bool:
        """Connect to those sockets that are there by now; True once all are."""
        for channel in list(self._unconnected):
            path = self._directory.socket(self._attempt, channel)
            if path.exists():
                self.sockets[channel].connect(f"ipc://{path}")
                self._unconnected.remove(channel)
        return not self._unconnected

    def send(self, channel: str, parts: Sequence[bytes]) -> None:
        """Sign a message and hand it to a channel. Never blocks, never drops."""
        send_frames(self.sockets[channel], self._signer.seal(parts))

    def open(self, frames: Sequence[bytes]) -> list[bytes] | None:
        """Return the parts of what one of the sockets received; None where it is not signed."""
        return self._signer.open(frames)

    def interrupt(self) -> None:
        """Send SIGINT to the kernel's process group."""
        self.signal(signal.SIGINT)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the kernel's process group, unless the kernel was reaped already."""
        if self.exit_code is None:
            try:
                os.killpg(self.pid, number)
            except (ProcessLookupError, PermissionError):
                return

    def reap(self) -> bool:
        """True if the kernel has ended. Then what is left of its process group is killed.

        `exit_code` is set from then on: negative for a signal.
        """
        if self.exit_code is not None:
            return True
        try:
            ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            ended = None
        else:
            if ended is None:
                return False
        # As long as it is not reaped, no other process group can have taken its number.
        self.signal(signal.SIGKILL)
        code = self._process.wait()
        self.exit_code = code
        return True

    def drain(self, handle: Callable[[str, list[bytes]], None]) -> None:
        """Hand over what a dead kernel has sent before it died."""
        deadline = time.monotonic() + DRAIN_SECONDS
        open_links = 0
        poller = zmq.Poller()
        for monitor in self._monitors:
            poller.register(monitor, zmq.POLLIN)
        while True:
            for monitor in self._monitors:
                open_links += _balance(monitor)
            if open_links <= 0 or time.monotonic() > deadline:
                break
            poller.poll(max(1, int((deadline - time.monotonic()) * 1000)))
        for channel in ("iopub", "shell", "control", "stdin"):
            while True:
                try:
                    frames = self.sockets[channel].recv_multipart(zmq.NOBLOCK)
                except zmq.Again:
                    break
                handle(channel, frames)

    def close(self) -> None:
        """Close the sockets and the pipe and remove the files. The process must have ended."""
        for socket in self.sockets.values():
            socket.disable_monitor()
            socket.close()
        for monitor in self._monitors:
            monitor.close()
        self.output.close()
        self._directory.forget(self._attempt)


def _start(
    spec: Spec, directory: RuntimeDirectory, attempt: int, key: bytes
) -> subprocess.Popen[bytes]:
    if not spec.argv:
        raise CommandError("the environment names no command to start", not_found=True)
    directory.write_connection_file(attempt, key)
    filled = {
        "{connection_file}": str(directory.connection_file),
        "{resource_dir}": spec.resource_dir,
    }
    argv = [_fill(part, filled) for part in spec.argv]
    try:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=_working_dir(spec),
            env=_environment(spec),
            process_group=0,
            preexec_fn=_death_signal(),  # noqa: PLW1509  one system call; no lock is taken
            bufsize=0,
        )
    except OSError as error:
        why = error.strerror or str(error)
        raise CommandError(
            f"the kernel's command {argv[0]} cannot be started: {why}",
            not_found=error.errno in _COMMAND_FAULTS,
        ) from None
    except (ValueError, subprocess.SubprocessError) as error:
        raise CommandError(
            f"the kernel's command {argv[0]} cannot be started: {error}", not_found=False
        ) from None


def _fill(part: str, filled: Mapping[str, str]) -> str:
    for placeholder, value in filled.items():
        part = part.replace(placeholder, value)
    return part


def _environment(spec: Spec) -> dict[str, str]:
    # The engine's marker is for all that a workload starts: by it, daemons of a kernel are found.
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("TEAMHUB_") or name == MARKER_VARIABLE
    }
    # ipykernel ends itself when this parent is gone, also where there is no death signal.
    ours = {"JPY_PARENT_PID": str(os.getpid()), "TEAMHUB_KERNEL_ID": spec.kernel_id}
    return {**inherited, **spec.env, **ours}


def _working_dir(spec: Spec) -> str:
    home = spec.env.get("HOME") or os.environ.get("HOME") or "/"
    for candidate in (spec.working_dir, home):
        if candidate and Path(candidate).is_dir() and os.access(candidate, os.X_OK):
            return candidate
    return "/"


def _death_signal() -> Callable[[], Any] | None:
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    shim = os.getpid()

    def end_with_the_shim() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
        if os.getppid() != shim:
            os._exit(NOT_FOUND_EXIT_CODE)  # the shim died before the signal was arranged

    return end_with_the_shim


def _raise_oom_score(pid: int) -> None:
    try:
        score = int(Path("/proc/self/oom_score_adj").read_text())
        Path(f"/proc/{pid}/oom_score_adj").write_text(str(min(score + OOM_SCORE_RAISE, 1000)))
    except (OSError, ValueError):
        return


def _balance(monitor: zmq.Socket[bytes]) -> int:
    """Return connections made less connections lost, of those not counted before."""
    balance = 0
    while True:
        try:
            event = int.from_bytes(monitor.recv_multipart(zmq.NOBLOCK)[0][:2], sys.byteorder)
        except zmq.Again:
            return balance
        balance += 1 if event == zmq.EVENT_CONNECTED else -1
