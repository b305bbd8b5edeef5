"""Starting, stopping and deleting notebook servers in the hub, as its API does, for our pages."""

from __future__ import annotations

import asyncio
from typing import Any

from jupyterhub.apihandlers.users import UserServerAPIHandler
from jupyterhub.slugs import is_valid_safe_slug
from tornado import web

from teamhub.errors import NotFoundError, RefusedError
from teamhub.hub.process import current
from teamhub.hub.sizes import chosen

NAME_RULES = (
    "1 to 30 of a-z, 0-9 and single hyphens, beginning with a letter and ending with a letter or "
    "a digit"
)
"""What a named server may be called; the hub's own rule."""

_CANCEL_SECONDS = 10.0


def check_new_server(user: Any, name: str, limit: int) -> None:
    """Check that a member may have one more notebook server, of that name.

    Args:
        user: the hub's.
        name: what they call it.
        limit: how many named ones a member may have.

    Raises:
        RefusedError: they may not; nothing has changed.
    """
    if not is_valid_safe_slug(name):
        shown = repr(name if len(name) <= 40 else name[:40] + "...")
        raise RefusedError(f"{shown} cannot be a notebook server's name: use {NAME_RULES}")
    named = [one for one in user.orm_user.orm_spawners if one]
    if name in named:
        raise RefusedError(f"you have a notebook server called {name!r} already")
    if len(named) >= limit:
        raise RefusedError(f"you have {len(named)} named servers, which is the limit; delete one")


async def stop_server(handler: Any, user: Any, name: str) -> None:
    """Stop a user's notebook server, one that is just starting, too. Of one that is not: nothing.

    Returns once it has stopped, or when that takes long; the hub goes on with it.

    Args:
        handler: one of the hub's, which knows its proxy.
        user: the hub's.
        name: the server's; "" for their own.

    Raises:
        NotFoundError: they have no such server.
        RefusedError: it cannot be stopped just now.
    """
    if name not in user.orm_user.orm_spawners:
        raise NotFoundError(f"there is no notebook server called {name[:40]!r}")
    spawner = user.spawners[name]
    if spawner.pending == "spawn" and spawner._spawn_future is not None:
        spawner._spawn_future.cancel()
        await asyncio.wait([spawner._spawn_future], timeout=_CANCEL_SECONDS)
    if spawner.pending == "stop":
        return
    if spawner.pending:
        raise RefusedError("the notebook server is just being changed; try again in a moment")
    if spawner.ready or spawner.server is not None:
        await handler.stop_single_user(user, name)


async def delete_server(handler: Any, user: Any, name: str) -> None:
    """Stop and forget a named notebook server; the files in its owner's home stay.

    Raises:
        NotFoundError: they have no such server.
        RefusedError: it is their own, unnamed one, or it has not stopped yet.
    """
    if not name:
        raise RefusedError("your own notebook server cannot be deleted, only stopped")
    await stop_server(handler, user, name)
    spawner = user.spawners[name]
    # One that the hub has made only now has no such attribute.
    stopping = getattr(spawner, "_stop_future", None)
    if stopping is not None:
        await asyncio.wait([stopping], timeout=_CANCEL_SECONDS)
    if spawner.active:
        raise RefusedError("it has not stopped yet; delete it in a moment")
    await user._delete_spawner(spawner)
    handler.db.delete(spawner.orm_spawner)
    user.spawners.pop(name, None)
    handler.db.commit()


class ServerApi(UserServerAPIHandler):  # type: ignore[misc]
    """The hub's API for notebook servers, with our sizes: an unknown one changes nothing."""

    def get_server_json_body(self) -> dict[str, Any]:
        """Return the body of a request, of whose options our own are left.

        Raises:
            web.HTTPError: 400, it asks for a size that is not on offer.
        """
        body: dict[str, Any] = super().get_server_json_body()
        if body.get("user_options"):
            body["user_options"] = _accepted(body["user_options"]) or None
        return body

    async def patch(self, user_name: str, server_name: str = "") -> None:
        """Change a server that is not running."""
        body = self.get_json_body()
        if isinstance(body, dict) and isinstance(body.get("user_options"), dict):
            _accepted(body["user_options"])
        await super().patch(user_name, server_name)


def _accepted(options: dict[str, Any]) -> dict[str, str]:
    try:
        return chosen(current().config, options)
    except RefusedError as error:
        raise web.HTTPError(400, f"{error}.") from None
