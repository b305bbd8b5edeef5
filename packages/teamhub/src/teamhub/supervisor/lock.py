"""One supervisor at a time on a data directory.

The lock is an `flock` on an open file: it ends with the process, however that ends, so there is
no stale one to clean up. The file itself is never removed; it holds the process id.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import psutil

from teamhub.deployment import Deployment, unusable
from teamhub.errors import AlreadyRunningError, TeamhubError

LOCK_NAME = "up.lock"


class UpLock:
    """The right to run, or to clean up, a deployment. Held until `release` or our end.

    Args:
        deployment: which one. Nothing of it but its two directories is touched.
    """

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._descriptor: int | None = None

    def take(self) -> None:
        """Take it at once, and write our process id into the file.

        Raises:
            AlreadyRunningError: another process has it.
            ConfigError: the data directory cannot be made, written to or locked.
        """
        data_dir, run_dir = self._deployment.data_dir, self._deployment.run_dir
        try:
            self._deployment.make_directories()
            descriptor = os.open(run_dir / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise unusable(error, data_dir) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError:
            os.close(descriptor)
            raise AlreadyRunningError(_who(data_dir)) from None
        except OSError as error:
            os.close(descriptor)
            raise unusable(error, data_dir) from None
        self._descriptor = descriptor

    def release(self) -> None:
        """Let go of it. A second call does nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def refuse_a_second(deployment: Deployment) -> None:
    """Raise AlreadyRunningError where a process holds the lock. Touches nothing."""
    if holder(deployment.data_dir) is not None:
        raise AlreadyRunningError(_who(deployment.data_dir))


def _who(data_dir: Path) -> str:
    process = holder(data_dir)
    number = f" (process {process.pid})" if process is not None else ""
    try:
        where = f": {Deployment.running(data_dir).public_url()}"
    except TeamhubError:
        where = ""
    return f"a team server is already running on {data_dir}{number}{where}"


def holder(data_dir: Path) -> psutil.Process | None:
    """Return the process that holds the lock of a data directory, None where none does.

    The lock is not tried: that would get in the way of one who takes it at the same moment. The
    process in the file is asked whether it has that file open, so an id that belongs to another
    program by now is not taken for a supervisor.
    """
    path = data_dir / "run" / LOCK_NAME
    try:
        process = psutil.Process(int(path.read_text()))
        mine = path.stat()
        for opened in process.open_files():
            try:
                found = Path(opened.path).stat()
            except OSError:
                continue
            if (found.st_dev, found.st_ino) == (mine.st_dev, mine.st_ino):
                return process
    except (OSError, ValueError, psutil.Error):
        return None
    return None
