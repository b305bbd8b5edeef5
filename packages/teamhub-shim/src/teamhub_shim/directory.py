"""The private directory in which shim and kernel meet."""

from __future__ import annotations

import json
import os
import re
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path

SOCKET_PATH_BYTES = 107
"""What the operating system allows for the path of a unix socket."""

PORTS: Mapping[str, int] = {"shell": 1, "control": 2, "stdin": 3, "iopub": 4, "hb": 5}
"""With transport `ipc` a port is only the end of a path: `<ip>-<port>`."""


class RuntimeDirectory:
    """A directory that nobody else can enter, for the connection file and the kernel's sockets.

    Args:
        path: where; made if it is not there. None: a new one among the temporary files.
        kernel_id: for the name of the connection file.

    Raises:
        OSError: it cannot be made, is somebody else's, or its path is too long; the message
            says which.
    """

    def __init__(self, path: str | None, kernel_id: str) -> None:
        if path:
            self.path = Path(path).absolute()
            self._ours = not self.path.exists()
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        else:
            self.path = Path(tempfile.mkdtemp(prefix="teamhub-"))
            self._ours = True
        try:
            self._check()
        except OSError:
            self.remove()
            raise
        name = re.sub(r"[^A-Za-z0-9_.-]", "_", kernel_id)
        self.connection_file = self.path / f"kernel-{name}.json"

    def _check(self) -> None:
        found = self.path.stat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise PermissionError(f"{self.path} is not a directory of the user that runs the shim")
        if found.st_mode & 0o077:
            self.path.chmod(0o700)
        longest = len(os.fsencode(self._ip(9999))) + 2
        if longest > SOCKET_PATH_BYTES:
            raise OSError(
                f"{self.path} is too long a path for sockets: {longest} bytes of at most"
                f" {SOCKET_PATH_BYTES}; set TEAMHUB_RUNTIME_DIR to a shorter one"
            )

    def _ip(self, attempt: int) -> str:
        return str(self.path / f"k{attempt}")

    def socket(self, attempt: int, channel: str) -> Path:
        """Return the path of a channel's socket, for the kernel process number `attempt`."""
        return Path(f"{self._ip(attempt)}-{PORTS[channel]}")

    def write_connection_file(self, attempt: int, key: bytes) -> None:
        """Write what the kernel process number `attempt` needs to know (mode 0600)."""
        content = {
            "transport": "ipc",
            "ip": self._ip(attempt),
            **{f"{channel}_port": port for channel, port in PORTS.items()},
            "key": key.decode(),
            "signature_scheme": "hmac-sha256",
            "kernel_name": "",
        }
        # Stale sockets of a shim that was killed here would look like a kernel that listens.
        self.forget(attempt)
        self.connection_file.unlink(missing_ok=True)
        descriptor = os.open(self.connection_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(content, file)

    def forget(self, attempt: int) -> None:
        """Remove the sockets of the kernel process number `attempt`."""
        for channel in PORTS:
            self.socket(attempt, channel).unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove the connection file and, where the shim made it and it is empty, the directory."""
        if hasattr(self, "connection_file"):
            self.connection_file.unlink(missing_ok=True)
        if self._ours:
            try:
                self.path.rmdir()
            except OSError:
                return
