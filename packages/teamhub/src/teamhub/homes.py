"""Home directories of members who are leaving: archived or deleted.

Both take what is there without following links, so that a member's own links lead nowhere. They
take long for large homes: run them in a thread, for one whose processes have all ended.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from teamhub.config import Config
from teamhub.errors import TeamhubError

Progress = Callable[[int], None]
"""Called now and then with the number of files that have been dealt with. What it raises ends the
work: of an archive nothing is left then, and the home is as it was."""

_EVERY = 200
_UNFINISHED = ".unfinished"


def archive_home(config: Config, name: str, progress: Progress = lambda _: None) -> Path | None:
    """Put a member's home into `data_dir/archive` as one file of mode 0600, and delete it.

    The home is deleted only once the archive is whole and on disk; an archive that could not be
    finished is removed, also one that a process was killed over. An earlier archive is never
    overwritten.

    Args:
        config: the settings.
        name: a valid account name.
        progress: told of each few hundred files.

    Returns:
        The archive, None where there was no home.

    Raises:
        TeamhubError: it could not be written (a full disk), or the home not be read or deleted.
    """
    home = config.home_of(name)
    if not home.is_dir() or home.is_symlink():
        return None
    directory = config.data_dir / "archive"
    unfinished: Path | None = None
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        _clear(directory, name)
        path = _unused(directory, name)
        unfinished = path.with_name(path.name + _UNFINISHED)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with os.fdopen(os.open(unfinished, flags, 0o600), "wb") as out:
            _write(out, home, name, progress)
            out.flush()
            os.fsync(out.fileno())
        unfinished.replace(path)
        _sync(directory)
    except OSError as error:
        where = f"{error.filename}: " if isinstance(error.filename, str) else ""
        raise TeamhubError(
            f"{home}: cannot be archived: {where}{error.strerror or error}; "
            "nothing of it was deleted"
        ) from None
    finally:
        if unfinished is not None:
            unfinished.unlink(missing_ok=True)
    try:
        delete_home(config, name)
    except TeamhubError as error:
        raise TeamhubError(f"{error}; it is archived in {path}") from None
    return path


def delete_home(config: Config, name: str) -> bool:
    """Delete a member's home; return whether there was one. A second call does nothing.

    Args:
        name: a valid account name.

    Raises:
        TeamhubError: something of it could not be deleted; the rest is gone.
    """
    home = config.home_of(name)
    if not home.is_dir() or home.is_symlink():
        return False
    left: list[OSError] = []

    def again(do: Callable[..., Any], path: str, _: Any) -> None:
        # Members keep some folders read-only (package caches, data), also from themselves.
        try:
            for folder in (Path(path).parent, Path(path)):
                if folder != home.parent and stat.S_ISDIR(folder.lstat().st_mode):
                    folder.chmod(0o700)
            if do is os.unlink or do is os.rmdir:
                do(path)
            else:
                shutil.rmtree(path)
        except FileNotFoundError:
            return
        except OSError as error:
            left.append(error)

    # `onerror`, not its successor: Python 3.11 has no other.
    shutil.rmtree(home, onerror=again)
    if home.exists():
        why = next((error for error in left if error.filename), None)
        what = f"{why.filename}: {why.strerror}" if why is not None else "something of it is left"
        raise TeamhubError(f"{home}: cannot be deleted: {what}")
    return True


def _write(out: IO[bytes], home: Path, name: str, progress: Progress) -> None:
    # Level 1: nearly as small, and much sooner ready.
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as archive:
        archive.add(home, arcname=name, filter=_counted(progress))


def _unused(directory: Path, name: str) -> Path:
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    path = directory / f"{name}-{moment}.tar.gz"
    number = 1
    while path.exists():
        number += 1
        path = directory / f"{name}-{moment}-{number}.tar.gz"
    return path


def _clear(directory: Path, name: str) -> None:
    """Remove what is left of archives of this member over which somebody was killed."""
    ours = re.compile(rf"{re.escape(name)}-\d{{8}}T\d{{6}}Z(-\d+)?\.tar\.gz{_UNFINISHED}")
    for path in directory.iterdir():
        if ours.fullmatch(path.name):
            path.unlink(missing_ok=True)


def _sync(directory: Path) -> None:
    """See that the names in a directory are on disk, where the file system can be told."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _counted(progress: Progress) -> Callable[[tarfile.TarInfo], tarfile.TarInfo | None]:
    count = 0

    def note(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        nonlocal count
        count += 1
        if count % _EVERY == 0:
            progress(count)
        return member

    return note
