"""Home directories of members who are leaving: archived or deleted.

Both take what is there without following links, so that a member's own links lead nowhere. They
take long for large homes: run them in a thread, for one whose processes have all ended.
"""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from teamhub.config import Config
from teamhub.errors import TeamhubError

Progress = Callable[[int], None]
"""Called now and then with the number of files that have been dealt with."""

_EVERY = 200


def archive_home(config: Config, name: str, progress: Progress = lambda _: None) -> Path | None:
    """Put a member's home into `data_dir/archive` as one file of mode 0600, and delete it.

    The home is deleted only once the archive is whole and on disk; an archive that could not be
    finished is removed.

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
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    path = directory / f"{name}-{moment}.tar.gz"
    unfinished = path.with_suffix(".unfinished")
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        with (
            os.fdopen(
                os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb"
            ) as out,
            tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as archive,
        ):
            archive.add(home, arcname=name, filter=_counted(progress))
        with unfinished.open("rb") as written:
            os.fsync(written.fileno())
        unfinished.replace(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise TeamhubError(
            f"{home}: cannot be archived: {error.strerror or error}; nothing of it was deleted"
        ) from None
    delete_home(config, name)
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
    try:
        shutil.rmtree(home)
    except OSError as error:
        raise TeamhubError(
            f"{error.filename or home}: cannot be deleted: {error.strerror or error}"
        ) from None
    return True


def _counted(progress: Progress) -> Callable[[tarfile.TarInfo], tarfile.TarInfo | None]:
    count = 0

    def note(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        nonlocal count
        count += 1
        if count % _EVERY == 0:
            progress(count)
        return member

    return note
