"""One at a time for each workload, in this process and among those of one data directory."""

from __future__ import annotations

import asyncio
import fcntl
import os
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

_FIRST_RETRY_SECONDS = 0.005
_LONGEST_RETRY_SECONDS = 0.2


class Locks:
    """A lock for each workload id.

    Within the process it is an asyncio.Lock; among processes (a dispatcher and the one that was
    deposed) a file lock, which ends with its process. A child that was forked, but has not yet
    executed its command, still holds the file: so whoever has the lock knows that no start that
    was interrupted by a crash is half-way to becoming a workload.
    """

    def __init__(self, directory: Path) -> None:
        """Args:
        directory: where the files of locks that are held lie; nobody else may write there.
        """
        self._directory = directory
        self._inner: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()

    @asynccontextmanager
    async def hold(self, workload_id: str) -> AsyncIterator[None]:
        """Hold the lock of one id, however long another holds it first."""
        async with self._inner.setdefault(workload_id, asyncio.Lock()):
            path = self._path(workload_id)
            retry_seconds = _FIRST_RETRY_SECONDS
            while (descriptor := _try_lock(path)) is None:
                # Only ever waited for when another process is at this very workload.
                await asyncio.sleep(retry_seconds)
                retry_seconds = min(2 * retry_seconds, _LONGEST_RETRY_SECONDS)
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
                os.close(descriptor)

    def busy(self, workload_id: str) -> bool:
        """Return whether this process holds the lock or waits for it."""
        lock = self._inner.get(workload_id)
        return lock is not None and lock.locked()

    def _path(self, workload_id: str) -> Path:
        return self._directory / f".{workload_id}.lock"


def _try_lock(path: Path) -> int | None:
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(path, flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Who held it before deleted the file: then ours is a lock on a name that is no more.
        if os.path.samestat(os.fstat(descriptor), os.stat(path)):  # noqa: PTH116
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None
