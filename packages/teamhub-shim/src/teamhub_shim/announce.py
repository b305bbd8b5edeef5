"""Tells the engine where the shim listens, by a file and a wake-up datagram."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path


class Announcement:
    """What `TEAMHUB_ADDRESS_FILE` says, and who is woken when it changes.

    Args:
        kernel_id: the payload of the wake-up.
        address_file: where to write; None: nowhere.
        wake_socket: a unix datagram socket; None: nobody is woken.
    """

    def __init__(self, kernel_id: str, address_file: str | None, wake_socket: str | None) -> None:
        self._kernel_id = kernel_id
        self._file = Path(address_file) if address_file else None
        self._wake_socket = wake_socket

    def say(self, port: int, ready: bool) -> None:
        """Replace the file as a whole and wake the reader. Raises OSError on a bad path."""
        if self._file is not None:
            draft = self._file.with_name(f".{self._file.name}.{os.getpid()}")
            draft.write_text(json.dumps({"port": port, "ready": ready}))
            draft.replace(self._file)
        self.wake()

    def wake(self) -> None:
        """Send the wake-up. Whatever is wrong with the other end is not our business."""
        if not self._wake_socket:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as wake:
                wake.setblocking(False)
                wake.sendto(self._kernel_id.encode(), self._wake_socket)
        except OSError:
            return

    def withdraw(self) -> None:
        """Remove the file: nobody listens there any more."""
        if self._file is not None:
            self._file.unlink(missing_ok=True)
