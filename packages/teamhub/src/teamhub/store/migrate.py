"""Bringing a database to this version's tables, by Alembic."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from teamhub.errors import StoreError
from teamhub.store.database import Database, revision
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
        StoreError: it cannot be used, or is of a newer version than this code; nothing changed.
    """
    database = Database(url, Wake(_MIGRATIONS / "nobody"))
    try:
        async with database.reading() as connection:
            found = await connection.run_sync(revision)
        if found == VERSION:
            return
        known = {
            script.revision for script in ScriptDirectory.from_config(_alembic()).walk_revisions()
        }
        if found is not None and found not in known:
            raise StoreError(
                f"the database is at version {found}, which is newer than this teamhub "
                f"({VERSION}); install the teamhub that wrote it"
            )
        async with database.writing(notify=False) as connection:
            await connection.run_sync(_upgrade)
    finally:
        await database.close()


def _upgrade(connection: Connection) -> None:
    config = _alembic()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
