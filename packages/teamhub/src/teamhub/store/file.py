"""A file of SQLite as it is found, before anything opens it for good.

Opening a database for good changes it (its journal, its tables), so what it is, whether it is whole
and whether somebody holds it is looked at before.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path

import psutil
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from teamhub.errors import StoreError

LOCKED_SECONDS = 5
"""How long somebody may hold a database before we say so. A backup holds it for moments."""

_PUT_BACK = (
    "put back a copy of it, or move it (with its -wal and -shm) away to begin with an empty one"
)


@dataclass(frozen=True)
class Found:
    """What is in a database: its tables, and Alembic's revision where it has one."""

    tables: Set[str]
    revision: str | None


def path_of(url: str) -> Path | None:
    """Return the file of a database, None where it is no file."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        return None
    if parsed.get_backend_name() != "sqlite" or parsed.database in {None, "", ":memory:"}:
        return None
    return Path(str(parsed.database))


def look(path: Path) -> Found | None:
    """Return what is in a database file, None where there is none or it is empty.

    Reads all of it once, to see that it is whole. Changes nothing: what a crash has left in the
    journal is only put in its place, as whoever opened it next would.

    Raises:
        StoreError: it cannot be read, is damaged, or somebody holds it locked.
    """
    try:
        if path.stat().st_size == 0:
            return None
        # A whole URI: a file's name may have a "?" in it.
        uri = f"{path.absolute().as_uri()}?mode=rw"
        with contextlib.closing(
            sqlite3.connect(uri, uri=True, timeout=LOCKED_SECONDS)
        ) as connection:
            rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            tables = {str(row[0]) for row in rows}
            (said,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if said != "ok":
                raise StoreError(explained(path, "database disk image is malformed"))
            revision = None
            if "alembic_version" in tables:
                row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
                revision = str(row[0]) if row is not None else None
            return Found(tables, revision)
    except FileNotFoundError:
        return None
    except (OSError, sqlite3.Error) as error:
        raise StoreError(explained(path, str(error))) from None


def explained(where: str | Path, cause: str) -> str:
    """Return one line of what SQLite, or a driver, says of a database: what, where, what to do.

    Args:
        where: the file, or the address of a server.
        cause: the driver's own words.
    """
    known = cause.lower()
    if "locked" in known:
        return (
            f"the database {where} is held locked by {_by_whom(Path(where))}; "
            "end that, then try again"
        )
    if "not a database" in known or "malformed" in known:
        return f"the database {where} is damaged ({cause}); {_PUT_BACK}"
    if "is full" in known:
        return f"the database {where} cannot be written: the disk is full; make room on it"
    if "readonly" in known or "read-only" in known:
        return (
            f"the database {where} cannot be written: it, or its directory, is read-only for us; "
            "make both writable for the user that runs teamhub"
        )
    if "unable to open" in known:
        return (
            f"the database {where} cannot be used: {cause}; it should be a file in a directory "
            "that is there, both writable for the user that runs teamhub"
        )
    return f"the database {where} cannot be used: {cause}"


def _by_whom(path: Path) -> str:
    """Name the program that has it open, where we may know it."""
    with contextlib.suppress(OSError, psutil.Error):
        mine = path.stat()
        for process in psutil.process_iter():
            if process.pid == os.getpid():
                continue
            with contextlib.suppress(psutil.Error, OSError):
                for opened in process.open_files():
                    # What it has open, which need not be what has that name now.
                    found = Path(f"/proc/{process.pid}/fd/{opened.fd}").stat()
                    if (found.st_dev, found.st_ino) == (mine.st_dev, mine.st_ino):
                        return f"{process.name()} (process {process.pid})"
    return "another program"
