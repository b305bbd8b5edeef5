"""Bringing a database to this version's tables, by Alembic."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from teamhub.errors import StoreError
from teamhub.store.database import Database, revision
from teamhub.store.file import look, path_of
from teamhub.store.schema import VERSION
from teamhub.store.wake import Wake

_MIGRATIONS = Path(__file__).parent / "migrations"


def _alembic() -> AlembicConfig:
    config = AlembicConfig()
    config.set_main_option("script_location", str(_MIGRATIONS))
    return config


async def upgrade(url: str) -> None:
    """Create or upgrade the tables. Of a database at this version: nothing.

    Raises:
        StoreError: it cannot be used, is of a newer version than this code, or is another
            program's; nothing changed.
    """
    check(url)
    database = Database(url, Wake(_MIGRATIONS / "nobody"), create=True)
    try:
        async with database.reading() as connection:
            found = await connection.run_sync(revision)
        if found == VERSION:
            return
        _refuse_newer(found, url)
        async with database.writing(notify=False) as connection:
            await connection.run_sync(_upgrade)
    finally:
        await database.close()


def check(url: str) -> None:
    """Look at a database before it is opened for good. One that is no file yet: nothing.

    Raises:
        StoreError: the URL is none, or the database is damaged, held by somebody, another
            program's or a newer teamhub's.
    """
    # One that is no database's URL, or whose driver is not there, is told by this.
    Database(url, Wake(_MIGRATIONS / "nobody"))
    path = path_of(url)
    found = look(path) if path is not None else None
    if found is None:
        return
    if found.tables and not {"meta", "workloads"} <= found.tables:
        raise StoreError(
            f"the database {path} is another program's (it has the tables "
            f"{', '.join(sorted(found.tables)[:3])}); name another in store.url, or move it away"
        )
    _refuse_newer(found.revision, url)


def _refuse_newer(found: str | None, url: str) -> None:
    if found is None or found == VERSION:
        return
    scripts = ScriptDirectory.from_config(_alembic()).walk_revisions()
    if found not in {script.revision for script in scripts}:
        raise StoreError(
            f"the database {path_of(url) or 'in store.url'} is at version {found}, which is newer "
            f"than this teamhub ({VERSION}); install the teamhub that wrote it"
        )


def _upgrade(connection: Connection) -> None:
    config = _alembic()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
