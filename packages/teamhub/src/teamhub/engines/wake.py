"""The socket on which workloads say that there is something new about them."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import Callable
from pathlib import Path

_DATAGRAM_BYTES = 256
_AT_ONCE = 100


class WakeSocket:
    """A unix datagram socket at a path that stays the same over restarts.

    What arrives is a hint from anybody, bounded and never trusted; what is lost is found by the
    next sweep. Whoever opens last has the path.
    """

    def __init__(self, path: Path, woken: Callable[[str], None]) -> None:
        """Args:
        path: where; short enough for the operating system, in a directory of ours.
        woken: called in the event loop with each text that arrives.
        """
        self._path = path
        self._woken = woken
        self._socket: socket.socket | None = None
        self._inode = 0

    def open(self) -> None:
        """Listen. Raises OSError where that is not possible."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        # Under a name of its own first, then over whatever is there: another may open right now.
        new = self._path.with_name(f"{self._path.name}.{secrets.token_hex(4)}")
        try:
            listener.setblocking(False)
            listener.bind(str(new))
            # Members' processes may have uids of their own, and only root gives them.
            new.chmod(0o622 if os.geteuid() == 0 else 0o600)
            self._inode = new.stat().st_ino
            new.replace(self._path)
        except BaseException:
            listener.close()
            new.unlink(missing_ok=True)
            raise
        self._socket = listener
        asyncio.get_running_loop().add_reader(listener, self._readable)

    def close(self) -> None:
        """Listen no longer. A second call does nothing."""
        if self._socket is None:
            return
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        self._socket = None
        try:
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()
        except FileNotFoundError:
            return

    def _readable(self) -> None:
        # A workload that sends without end must not keep the loop from everything else.
        for _ in range(_AT_ONCE):
            if self._socket is None:
                return
            try:
                data = self._socket.recv(_DATAGRAM_BYTES)
            except BlockingIOError:
                return
            self._woken(data.decode(errors="replace").strip())
