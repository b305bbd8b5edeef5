"""What `teamhub up` looks at before it makes or changes anything.

Whatever a person may have got wrong is said here, so that a start which comes to nothing leaves
everything as it was. The supervisor checks again what may change in between.
"""

from __future__ import annotations

import errno
import importlib.util
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from alembic.script import ScriptDirectory
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from teamhub import clock
from teamhub.accounts import account_name
from teamhub.config import Config
from teamhub.deployment import Deployment, belongs_to_another, unusable
from teamhub.engines import border
from teamhub.errors import AccountError, ConfigError, StoreError, TeamhubError
from teamhub.store import migrate
from teamhub.store.file import explained, look, path_of
from teamhub.supervisor import record
from teamhub.supervisor.lock import refuse_a_second
from teamhub.supervisor.port import public_port_held
from teamhub.supervisor.programs import proxy_command


def preflight(deployment: Deployment) -> Sequence[str]:
    """Check everything that can be known to be wrong before a start. Changes nothing.

    Returns:
        What a person should know although the start goes on, a sentence each.

    Raises:
        AlreadyRunningError: a team server is running there.
        ConfigError: a setting, or the data directory, cannot be followed.
        TeamhubError: the clock, the port or a database is not as it has to be.
    """
    config = deployment.config
    if said := clock.before_release(datetime.now(UTC)):
        raise TeamhubError(said)
    refuse_a_second(deployment)
    _data_dir(deployment.data_dir)
    try:
        account_name(config.hub.admin)
    except AccountError as error:
        raise ConfigError(f"hub.admin: {error}") from None
    proxy_command(config)
    border.first_uid(config)
    # What a killed one has left may hold the port; the supervisor ends that, then looks.
    if not record.left_over(deployment):
        with public_port_held(config.proxy):
            pass
    deployment.check_secrets()
    migrate.check(config.store_url())
    _folder_is_there(config.store.url, config.data_dir)
    _folder_is_there(config.hub.database_url, config.data_dir)
    _hub_database(config)
    if not config.hub.extra:
        return []
    # Only here, for it takes a second to load what the hub is made of.
    from teamhub.hub.extra import check_extra

    return check_extra(config.hub.extra)


def _data_dir(data_dir: Path) -> None:
    try:
        os.stat(data_dir)  # noqa: PTH116  Path.is_dir would hide a loop of links
    except FileNotFoundError:
        if data_dir.is_symlink():
            raise ConfigError(
                f"data_dir: {data_dir}: is a link that leads nowhere; choose another with "
                "--data-dir"
            ) from None
        return
    except OSError as error:
        raise unusable(error, data_dir) from None
    for part in ("homes", "workloads", "run", "logs", "secrets"):
        if os.path.lexists(data_dir / part) and not (data_dir / part).is_dir():
            raise unusable(NotADirectoryError(errno.ENOTDIR, "", str(data_dir / part)), data_dir)
    if owner := belongs_to_another(data_dir):
        raise ConfigError(
            f"data_dir: {data_dir}: belongs to {owner}; start it as that user, or choose another "
            "with --data-dir"
        )


def _folder_is_there(url: str | None, data_dir: Path) -> None:
    path = path_of(url) if url is not None else None
    if path is not None and path.parent != data_dir and not path.parent.is_dir():
        raise StoreError(explained(path, "unable to open database file"))


def _hub_database(config: Config) -> None:
    url = config.hub_database_url()
    try:
        make_url(url).get_dialect()
    except NoSuchModuleError:
        raise ConfigError(
            f"hub.database_url: no kind of database is called {make_url(url).drivername!r}; "
            "use sqlite or postgresql"
        ) from None
    except (ArgumentError, ValueError):
        raise ConfigError(
            "hub.database_url: should be a database's URL, such as sqlite:///…"
        ) from None
    path = path_of(url)
    found = look(path) if path is not None else None
    if found is None or not found.tables:
        return
    if not {"users", "spawners", "api_tokens"} <= found.tables:
        raise StoreError(
            f"the database {path} is another program's (it has the tables "
            f"{', '.join(sorted(found.tables)[:3])}), not a hub's; name another in "
            "hub.database_url, or move it away"
        )
    if found.revision is not None and found.revision not in _hub_revisions():
        raise StoreError(
            f"the database {path} is at version {found.revision}, which this JupyterHub does not "
            "know: it is newer; install the teamhub that wrote it"
        )


def _hub_revisions() -> set[str]:
    spec = importlib.util.find_spec("jupyterhub")
    folders = (spec.submodule_search_locations if spec is not None else None) or []
    return {
        script.revision
        for folder in folders
        for script in ScriptDirectory(str(Path(folder) / "alembic")).walk_revisions()
    }
