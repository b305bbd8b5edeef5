"""How a notebook server tells the engine that it is ready, and where."""

from __future__ import annotations

import json
import logging
import os
import socket
from dataclasses import dataclass
from pathlib import Path

from teamhub_notebook.settings import Settings

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Announcement:
    """Where the port is announced; every part may be missing, then that part is not done."""

    address_file: Path | None
    wake_socket: str | None
    workload_id: str

    @classmethod
    def of(cls, settings: Settings) -> Announcement:
        """Return what the settings ask for."""
        return cls(settings.address_file, settings.wake_socket, settings.workload_id)

    def make(self, port: int) -> None:
        """Write the address file in one step, then wake whoever waits for it.

        A second call overwrites. A socket that is not there is no error: a slow sweep stands
        behind it. An address file that cannot be written raises OSError: nobody could find us.
        """
        if self.address_file is not None:
            text = json.dumps({"port": port, "ready": True})
            draft = self.address_file.with_name(f"{self.address_file.name}.{os.getpid()}.draft")
            draft.write_text(text)
            draft.replace(self.address_file)
        if self.wake_socket is not None:
            try:
                with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as wake:
                    wake.setblocking(False)
                    wake.sendto(self.workload_id.encode(), self.wake_socket)
            except OSError as error:
                _log.debug("Nobody was woken at %s: %s", self.wake_socket, error)
