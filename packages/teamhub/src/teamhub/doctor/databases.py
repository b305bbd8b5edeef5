"""The two databases: whether they open, are whole, of the right version, and free."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path

from sqlalchemy.engine import make_url

from teamhub.doctor.check import Check, Finding, Patient, ok, problem, skipped, warning
from teamhub.store import Store
from teamhub.store.schema import VERSION

_BUSY_SECONDS = 3.0
_SHOWN = 120


async def _store(patient: Patient) -> Finding:
    assert patient.config is not None
    url = patient.config.store_url()
    if not url.startswith("sqlite"):
        store = Store.of(patient.deployment)
        try:
            await store.open(listen=False)
            await store.ping()
        finally:
            await store.close()
        return ok(f"{make_url(url).get_backend_name()}, version {VERSION}")
    return await asyncio.to_thread(sqlite_finding, _path(url), _version)


async def _hub(patient: Patient) -> Finding:
    assert patient.config is not None
    url = patient.config.hub_database_url()
    if not url.startswith("sqlite"):
        return skipped(f"{make_url(url).get_backend_name()} is looked at through the hub only")
    return await asyncio.to_thread(sqlite_finding, _path(url), lambda _: None)


def sqlite_finding(path: Path, version: Callable[[sqlite3.Connection], Finding | None]) -> Finding:
    """Return how a SQLite database is. Writes nothing in it.

    Args:
        path: its file.
        version: says what is wrong with its tables, None where nothing is.
    """
    if not path.exists():
        return skipped(f"{path} is not there yet: it is made at the first start")
    if (mode := stat.S_IMODE(path.stat().st_mode)) & 0o077:
        return problem(f"{path} is open to others (mode {mode:o})", f"chmod 600 {path}")
    restore = f"stop the server, keep a copy of {path}, and put a backup in its place"
    try:
        with contextlib.closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=_BUSY_SECONDS)
        ) as connection:
            connection.isolation_level = None
            said = " ".join(str(connection.execute("PRAGMA quick_check(1)").fetchone()[0]).split())
            if said != "ok":
                return problem(f"{path} is damaged: {said[:_SHOWN]}", restore)
            mode_word = str(connection.execute("PRAGMA journal_mode").fetchone()[0])
            wrong = version(connection)
            if wrong is not None:
                return wrong
            locked = _locked(connection, path)
    except sqlite3.OperationalError as error:
        return problem(
            f"{path} cannot be used: {error}", "see that its directory can be written to"
        )
    except sqlite3.DatabaseError as error:
        return problem(f"{path} is damaged: {error}", restore)
    if locked is not None:
        return locked
    return ok(f"{path.name}, whole, {path.stat().st_size / 1024:.0f} KiB, {mode_word}")


def _locked(connection: sqlite3.Connection, path: Path) -> Finding | None:
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
    except sqlite3.OperationalError as error:
        if "locked" not in str(error) and "busy" not in str(error):
            raise
        return problem(
            f"{path} is locked by another program for longer than {_BUSY_SECONDS:g} s",
            f"find it with `fuser {path}`, and end it if it is not teamhub",
        )
    return None


def _version(connection: sqlite3.Connection) -> Finding | None:
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    if "alembic_version" not in tables:
        return warning("the database has no tables yet", "`teamhub up` makes them")
    found = str(connection.execute("SELECT version_num FROM alembic_version").fetchone()[0])
    if found == VERSION:
        if str(connection.execute("PRAGMA journal_mode").fetchone()[0]) != "wal":
            return warning(
                "the database keeps no write-ahead log: readers and writers wait for each other",
                "its file system may not allow it; move the data directory to a local disk",
            )
        return None
    if found > VERSION:
        return problem(
            f"the database is at version {found}, newer than this teamhub's {VERSION}",
            "install the teamhub that wrote it",
        )
    return warning(
        f"the database is at version {found}, this teamhub needs {VERSION}",
        "`teamhub up` upgrades it; keep a copy",
    )


def _path(url: str) -> Path:
    return Path(make_url(url).database or "")


CHECKS = (Check("database", _store), Check("hub database", _hub))
