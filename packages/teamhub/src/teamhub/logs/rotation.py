"""Rotation: a log that has grown large is put aside, and the oldest is deleted.

A process of ours stays with its log when that is renamed (`LogStream`): nothing is lost. A
program that cannot do that (the proxy) has its log copied and cut: what it writes in the moment
between the end of the copy and the cut, some microseconds, is lost.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Collection
from pathlib import Path

log = logging.getLogger("teamhub.logs")

_BLOCK_BYTES = 1024**2
_LOOKS = 1000


def rotate(path: Path, *, keep_bytes: int, keep_files: int, by_copy: bool) -> bool:
    """Put a log aside where it has become too large; return whether it had.

    `path` becomes `path.1`, what was that becomes `path.2`, and so on. At most `keep_files` of
    them stay. A log that is not there is not too large.

    Args:
        path: the log.
        keep_bytes: how large it may be.
        keep_files: how many older ones are kept, 1 at least.
        by_copy: its writer goes on with the same file, to which it appends.

    Raises:
        OSError: it cannot be done; nothing that was written is lost by that.
    """
    try:
        if path.stat().st_size <= keep_bytes:
            return False
    except FileNotFoundError:
        return False
    _older(path, keep_files).unlink(missing_ok=True)
    for number in range(keep_files - 1, 0, -1):
        with contextlib.suppress(FileNotFoundError):
            _older(path, number).rename(_older(path, number + 1))
    if by_copy:
        _copy_and_cut(path, _older(path, 1))
    else:
        path.rename(_older(path, 1))
    _forget_beyond(path, keep_files)
    return True


def rotate_all(
    logs_dir: Path, *, keep_bytes: int, keep_files: int, by_copy: Collection[str]
) -> None:
    """Rotate every log of a directory that has become too large. Never raises.

    Args:
        logs_dir: where they are, as NAME.log.
        keep_bytes: see `rotate`.
        keep_files: see `rotate`.
        by_copy: the names of those whose writers cannot stay with a file that is renamed.
    """
    for path in sorted(logs_dir.glob("*.log")):
        try:
            if rotate(
                path, keep_bytes=keep_bytes, keep_files=keep_files, by_copy=path.stem in by_copy
            ):
                log.info("%s has been put aside as %s.1", path.name, path.name)
        except OSError as error:
            log.warning("%s cannot be rotated: %s", path, error.strerror)


def _copy_and_cut(path: Path, older: Path) -> None:
    new = older.with_name(f".{older.name}.new")
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with path.open("rb") as source, os.fdopen(descriptor, "wb", buffering=0) as copy:
            # Once more what was written meanwhile, until there is nothing. A line that crosses a
            # page of memory can be seen half.
            end, looks = b"\n", 0
            while (data := source.read(_BLOCK_BYTES)) or (end != b"\n" and looks < _LOOKS):
                copy.write(data)
                end = data[-1:] or end
                looks = 0 if data else looks + 1
            os.truncate(path, 0)
    except OSError:
        new.unlink(missing_ok=True)
        raise
    new.rename(older)


def _forget_beyond(path: Path, keep_files: int) -> None:
    """Delete what a larger `keep_files` of an earlier time has kept."""
    number = keep_files + 1
    while _older(path, number).exists():
        _older(path, number).unlink(missing_ok=True)
        number += 1


def _older(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")
