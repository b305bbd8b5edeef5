"""Removing members from a page: it may take long, so it goes on behind the pages that show it.

What is known of it is kept in memory. A hub that ends in the middle forgets; asking again goes on
with what is left (see teamhub.removal).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from jupyterhub import orm

from teamhub.config import Config
from teamhub.errors import NotFoundError, RefusedError, TeamhubError
from teamhub.hub.pages.sign_in import end_sign_ins
from teamhub.hub.process import current
from teamhub.removal import Home, Removed, remove_member
from teamhub.store import Store
from teamhub.store.database import now

_KEPT = 50
_PENDING_SECONDS = 60.0


@dataclass
class Removal:
    """One member's.

    Attributes:
        by: which administrator asked for it.
        doing: what is being done, or came of it, as a sentence.
        state: "running", "done" or "failed".
    """

    name: str
    home: Home
    by: str
    started: datetime = field(default_factory=now)
    doing: str = ""
    state: str = "running"


class Removals:
    """The removals that this hub has been asked for.

    Args:
        settings: those of the hub's web application, where it keeps what its handlers share.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = settings
        self._log: logging.Logger = settings["log"]
        self._all: dict[str, Removal] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    def of(cls, settings: dict[str, Any]) -> Removals:
        """Return those of a hub, the same ones at each call."""
        found: Removals = settings.setdefault("teamhub_removals", cls(settings))
        return found

    def all(self) -> Sequence[Removal]:
        """Return what is known of removals, the latest first."""
        return sorted(self._all.values(), key=lambda one: one.started, reverse=True)

    def get(self, name: str) -> Removal | None:
        """Return a member's, None where nothing is known of one."""
        return self._all.get(name)

    async def begin(self, name: str, home: Home, by: str) -> Removal:
        """Begin to remove a member and return, with what is known of it by then.

        Raises:
            NotFoundError: there is no such member.
            RefusedError: it is being done already, or they are the only administrator, or whoever
                asks. Nothing has changed.
        """
        known = self._all.get(name)
        if known is not None and known.state == "running":
            raise RefusedError(f"{name} is being removed already, by {known.by}")
        if name == by:
            raise RefusedError("you cannot remove yourself; ask another administrator")
        here = current()
        store = await here.store()
        account = await store.accounts.get(name)
        if account is None and not is_left(self._settings["db"], here.config, name):
            raise NotFoundError(f"there is no user called {name!r}")
        if account is not None and account.admin:
            admins = [one for one in await store.accounts.all() if one.admin and not one.waiting]
            if len(admins) < 2:
                raise RefusedError(
                    f"{name} is the only administrator; make somebody else one first"
                )
        removal = Removal(name, home, by)
        self._all.pop(name, None)
        self._all[name] = removal
        for old in [one for one in self._all.values() if one.state != "running"][:-_KEPT]:
            del self._all[old.name]
        task = asyncio.create_task(self._remove(removal, store, here.config))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return removal

    async def _remove(self, removal: Removal, store: Store, config: Config) -> None:
        def progress(doing: str) -> None:
            removal.doing = f"{doing[:1].upper()}{doing[1:]}."

        name = removal.name
        try:
            # So that their browsers begin nothing meanwhile.
            end_sign_ins(self._settings["db"], name)
            removed = await remove_member(
                store, config, name, removal.home, forget=self._forget, progress=progress
            )
        except TeamhubError as error:
            removal.state, removal.doing = "failed", f"{error}."
            self._log.warning("%s asked to remove %s: %s", removal.by, name, error)
        except Exception:
            removal.state = "failed"
            removal.doing = "A fault of ours, which the hub's log has. Asking again goes on."
            self._log.exception("%s asked to remove %s: a fault of ours", removal.by, name)
        else:
            removal.state, removal.doing = "done", _what_became_of(removed)
            self._log.info("%s has removed %s: %s", removal.by, name, removal.doing)

    async def _forget(self, name: str) -> bool:
        """Remove the hub's user of that name with every token; return whether there was one.

        What DELETE /hub/api/users/NAME does. Their servers have ended by now; the hub may not have
        noticed.

        Raises:
            TeamhubError: one of their servers is still being started or stopped.
        """
        orm_user = orm.User.find(self._settings["db"], name)
        if orm_user is None:
            return False
        users = self._settings["users"]
        user = users[orm_user]
        for server_name, spawner in list(user.spawners.items()):
            futures = (spawner._spawn_future, getattr(spawner, "_stop_future", None))
            under_way = [one for one in futures if one is not None]
            if under_way:
                await asyncio.wait(under_way, timeout=_PENDING_SECONDS)
            if spawner.pending:
                raise TeamhubError(
                    f"the hub is still at a notebook server of {name}; try again in a moment"
                )
            if spawner.server is not None:
                await self._settings["proxy"].delete_user(user, server_name)
                await user.stop(server_name)
        await user.delete_spawners()
        users.delete(user)
        return True


def is_left(session: Any, config: Config, name: str) -> bool:
    """Return whether there is something of a member without an account: a removal did not end.

    Args:
        session: the hub's own.
        config: the settings.
        name: a valid account name.
    """
    return orm.User.find(session, name) is not None or config.home_of(name).is_dir()


def _what_became_of(removed: Removed) -> str:
    if removed.archive is not None:
        return f"Removed. The home is in {removed.archive}."
    if removed.home is Home.DELETE:
        return "Removed, and the home deleted."
    return "Removed. The home, where there is one, is as it was."
