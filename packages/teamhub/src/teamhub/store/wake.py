"""Wake-ups between the processes of one deployment: "something in the store has changed".

With SQLite every process binds a datagram socket in one directory, and whoever writes sends an
empty datagram to each. A wake-up says nothing of what changed and may be lost or repeated: it
only makes a reader look sooner than its sweep would.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
from pathlib import Path

from teamhub.errors import StoreError

_BIND_TRIES = 10


class Wake:
    """Sends wake-ups to all processes, this one included, and receives theirs.

    Args:
        directory: where the sockets are, and nothing else; short enough for a socket path (107
            bytes).
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path: Path | None = None
        self._socket: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._events: set[asyncio.Event] = set()

    async def open(self) -> None:
        """Begin to receive. A process that only sends need not. A second call does nothing.

        Raises StoreError where no socket can be made in the directory.
        """
        if self._socket is not None:
            return
        self._path = self._directory / f"{os.getpid()}-{secrets.token_hex(3)}.sock"
        receiving = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        receiving.setblocking(False)
        try:
            self._bind(receiving, str(self._path))
        except OSError as error:
            receiving.close()
            raise StoreError(
                f"no socket can be made at {self._path}: {error}; a shorter data_dir may help"
            ) from None
        self._socket = receiving
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(receiving.fileno(), self._receive)

    async def close(self) -> None:
        """Stop receiving. The last one removes the directory. A second call does nothing."""
        if self._socket is not None and self._loop is not None:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        self._remove_dead()
        with contextlib.suppress(OSError):
            self._directory.rmdir()

    def notify(self) -> None:
        """Wake everybody. Never blocks, never fails; sockets of dead processes are removed."""
        self._wake_here()
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.setblocking(False)
            for path in self._directory.glob("*.sock"):
                if path == self._path:
                    continue
                try:
                    out.sendto(b"", str(path))
                except ConnectionRefusedError:
                    path.unlink(missing_ok=True)
                except OSError:
                    continue  # full: the receiver is about to look anyhow

    def subscribe(self) -> Subscription:
        """Return something to wait with; wake-ups from now on are not missed."""
        return Subscription(self._events)

    def _bind(self, receiving: socket.socket, path: str) -> None:
        for _ in range(_BIND_TRIES):
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Whoever was the last before us may be removing the directory just now.
            with contextlib.suppress(FileNotFoundError):
                return receiving.bind(path)
        return receiving.bind(path)

    def _remove_dead(self) -> None:
        """Remove the sockets of processes that were killed."""
        for path in self._directory.glob("*.sock"):
            with (
                contextlib.suppress(OSError),
                socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as it,
            ):
                try:
                    it.connect(str(path))
                except ConnectionRefusedError:
                    path.unlink(missing_ok=True)

    def _receive(self) -> None:
        assert self._socket is not None
        with contextlib.suppress(BlockingIOError):
            while True:
                self._socket.recv(64)
                self._wake_here()

    def _wake_here(self) -> None:
        for event in self._events:
            event.set()


class Subscription:
    """One reader's wake-ups, several that came while it was busy being one."""

    def __init__(self, events: set[asyncio.Event]) -> None:
        self._events = events
        self._event = asyncio.Event()
        events.add(self._event)

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Wait no more. A second call does nothing."""
        self._events.discard(self._event)

    def wake(self) -> None:
        """Make the present or next `wait` return."""
        self._event.set()

    async def wait(self, timeout_seconds: float | None = None) -> bool:
        """Return True on a wake-up since the last call, False when the time is over."""
        # Not wait_for(): before Python 3.12 it forgets a cancellation that meets a wake-up.
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return True
