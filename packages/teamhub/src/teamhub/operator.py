"""The operator: what the supervisor and the command line ask of the hub, with a token of their own.

The token is read from the deployment's secrets. It never appears in a message or on a command line.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp

from teamhub.asking import Asking
from teamhub.deployment import Deployment
from teamhub.errors import NotFoundError, NotRunningError, RefusedError, TeamhubError

_ANSWER_SECONDS = 20
_STOPPING_SECONDS = 60.0
_AGAIN_SECONDS = 0.5

_PAGE = "application/jupyterhub-pagination+json"
"""What is to be accepted to get a list whole, a page at a time: else the hub cuts it."""
_PAGE_LENGTH = 200

_MADE_BY_HAND = "JupyterHub"
"""What the hub names as the client of a token that somebody made, and of a server's own,"""

_SERVER_NOTE = "Server at "
"""with which it begins the note of the latter."""

TOKEN_SCOPES = ("access:services!service=gateway",)
"""What a personal token may do: use the gateway as its owner. `GET /hub/api/user` answers every
token with its owner's name, groups and these scopes, so that nothing more is needed."""


@dataclass(frozen=True)
class PersonalToken:
    """A token that was made just now; the only time it can be seen."""

    token: str
    id: str
    user: str
    note: str
    expires_at: str | None
    scopes: Sequence[str]


@dataclass(frozen=True)
class Token:
    """A token as the hub lists it; the token itself cannot be seen any more.

    Attributes:
        server: whether it is a notebook server's or a browser's, not one that somebody made.
    """

    id: str
    user: str
    note: str
    scopes: Sequence[str]
    created_at: str
    expires_at: str | None
    last_activity_at: str | None
    server: bool


@dataclass(frozen=True)
class Group:
    """A group and its members' names."""

    name: str
    members: tuple[str, ...]


@dataclass(frozen=True)
class KnownUser:
    """A user whom the hub knows."""

    name: str
    groups: tuple[str, ...]
    roles: tuple[str, ...]
    last_activity_at: str | None


class Operator(Asking):
    """The hub's API for one deployment. Used as `async with`.

    Every call raises NotRunningError where the hub does not answer, RefusedError where it says
    no, NotFoundError where it knows no such thing; TeamhubError for anything else.
    """

    def __init__(self, deployment: Deployment, *, timeout_seconds: float = _ANSWER_SECONDS) -> None:
        """Args:
        deployment: whose hub; its ports and secrets are read.
        timeout_seconds: for each answer.
        """
        token = deployment.secrets().operator_token
        super().__init__(timeout_seconds, headers={"Authorization": f"token {token}"})
        self._deployment = deployment
        self._url = deployment.hub_api_url()

    async def ensure_user(self, name: str) -> None:
        """Make the hub know a user who has not signed in yet. Of one that it knows: nothing."""
        # Asked in a list, and only then made: one that is not there, or is already, would be a
        # warning in the hub's log.
        listed = await self._all("/users", name_filter=name)
        if name not in {one["name"] for one in listed}:
            await self._ask("POST", f"/users/{quote(name, safe='')}", also_fine=409)

    async def delete_user(self, name: str) -> bool:
        """Remove a user from the hub with every token and server; return whether it knew them.

        Servers of theirs are stopped first, those that are just starting too, and waited for.
        """
        deadline = time.monotonic() + _STOPPING_SECONDS
        path = f"/users/{quote(name, safe='')}"
        while True:
            try:
                # By itself the hub stops the one without a name, and fails over one that starts.
                for server, known in (await self._ask("GET", path)).get("servers", {}).items():
                    if known["ready"] or known["pending"]:
                        with contextlib.suppress(NotFoundError):
                            await self.stop_server(name, server)
                await self._ask("DELETE", path)
            except NotFoundError:
                return False
            except RefusedError:
                # The one thing that it refuses to us: a server is still stopping.
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(_AGAIN_SECONDS)
            else:
                return True

    async def user(self, name: str) -> KnownUser | None:
        """Return a user, None where the hub knows none of that name."""
        try:
            return _known(await self._ask("GET", f"/users/{quote(name, safe='')}"))
        except NotFoundError:
            return None

    async def tokens(self, user: str) -> Sequence[Token]:
        """Return a user's tokens, oldest first; those of notebook servers and browsers too."""
        answer = await self._ask("GET", f"/users/{quote(user, safe='')}/tokens")
        found = [_token(one) for one in answer["api_tokens"]]
        return sorted(found, key=lambda token: token.created_at)

    async def revoke_token(self, user: str, token_id: str) -> None:
        """Revoke a token. The gateway, which remembers tokens, is to be told by the store."""
        path = f"/users/{quote(user, safe='')}/tokens/{quote(token_id, safe='')}"
        await self._ask("DELETE", path)

    async def groups(self) -> Sequence[Group]:
        """Return all groups by name."""
        answer = await self._all("/groups")
        found = [Group(one["name"], tuple(sorted(one["users"]))) for one in answer]
        return sorted(found, key=lambda group: group.name)

    async def create_group(self, name: str) -> None:
        """Make a group. Raises RefusedError where there is one of that name."""
        await self._ask("POST", f"/groups/{quote(name, safe='')}")

    async def delete_group(self, name: str) -> None:
        """Delete a group; its members stay."""
        await self._ask("DELETE", f"/groups/{quote(name, safe='')}")

    async def add_to_group(self, group: str, users: Sequence[str]) -> None:
        """Add users, whom the hub knows, to a group. Those in it already: nothing."""
        path = f"/groups/{quote(group, safe='')}/users"
        await self._ask("POST", path, {"users": list(users)})

    async def remove_from_group(self, group: str, users: Sequence[str]) -> None:
        """Remove users from a group. Those not in it: nothing."""
        path = f"/groups/{quote(group, safe='')}/users"
        await self._ask("DELETE", path, {"users": list(users)})

    async def users(self) -> Sequence[KnownUser]:
        """Return all users that the hub knows, by name, with their groups and roles."""
        found = [_known(one) for one in await self._all("/users")]
        return sorted(found, key=lambda user: user.name)

    async def revoke_all(self, user: str) -> Sequence[Token]:
        """Revoke all tokens of a user: personal ones, browsers' and notebook servers'.

        The gateway is to be told by the store, as for one. Returns those that there were; of a
        user whom the hub does not know, none.
        """
        revoked: dict[str, Token] = {}
        try:
            # Twice: one of them may have been used to make another meanwhile.
            for _ in range(2):
                for token in await self.tokens(user):
                    revoked[token.id] = token
                    # Those of one browser go together.
                    with contextlib.suppress(NotFoundError):
                        await self.revoke_token(user, token.id)
        except NotFoundError:
            return []
        return list(revoked.values())

    async def start_server(self, user: str, name: str = "") -> None:
        """Have the hub start a notebook server. It may take longer than the hub's answer.

        Raises RefusedError where it runs already, or the user has as many as may be.
        """
        await self._ask("POST", _server_path(user, name))

    async def stop_server(self, user: str, name: str = "") -> None:
        """Have the hub stop a notebook server. Of one that is not running: nothing.

        It may take longer than the hub's answer. Raises NotFoundError where the hub has never had
        a server of that name.
        """
        await self._ask("DELETE", _server_path(user, name))

    async def create_token(
        self, user: str, *, note: str, expires_in_seconds: int | None
    ) -> PersonalToken:
        """Make a personal token for a user whom the hub knows.

        Args:
            user: its owner.
            note: what it is for; shown in the hub's list of tokens.
            expires_in_seconds: None: the longest that the hub allows.
        """
        wanted: dict[str, Any] = {"note": note, "scopes": list(TOKEN_SCOPES)}
        if expires_in_seconds is not None:
            wanted["expires_in"] = expires_in_seconds
        made = await self._ask("POST", f"/users/{quote(user, safe='')}/tokens", wanted)
        return PersonalToken(
            token=made["token"],
            id=made["id"],
            user=user,
            note=note,
            expires_at=made.get("expires_at"),
            scopes=made.get("scopes", []),
        )

    async def put_routes_back(self) -> None:
        """Have the hub compare the proxy's routes with what there should be, now."""
        await self._ask("POST", "/proxy")

    async def _all(self, path: str, **query: str) -> Sequence[Mapping[str, Any]]:
        """Return a list of the hub's, all pages of it."""
        found: list[Mapping[str, Any]] = []
        offset: int | None = 0
        while offset is not None:
            asked = urlencode({**query, "offset": offset, "limit": _PAGE_LENGTH})
            page = await self._ask("GET", f"{path}?{asked}")
            found += page["items"]
            after = page["_pagination"]["next"]
            offset = after["offset"] if after else None
        return found

    async def _ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        also_fine: int | None = None,
    ) -> Any:
        try:
            async with self._session.request(
                method, self._url + path, json=body, headers={"Accept": _PAGE}
            ) as response:
                status, text = response.status, await response.text(errors="replace")
        except (aiohttp.ClientError, TimeoutError, OSError):
            raise NotRunningError(
                f"no team server answers on {self._deployment.data_dir}; "
                "`teamhub up` starts one, `teamhub status` says what runs"
            ) from None
        if status < 300 or status == also_fine:
            return _parsed(text)
        said = _message(text)
        if status == 404:
            raise NotFoundError(f"the hub knows no such thing: {said}")
        if status in {400, 401, 403, 409}:
            raise RefusedError(f"the hub refused: {said}")
        log = self._deployment.log_file("hub")
        raise TeamhubError(f"the hub could not do it ({status}: {said}); see {log}")


def _server_path(user: str, name: str) -> str:
    path = f"/users/{quote(user, safe='')}/server"
    return f"{path}s/{quote(name, safe='')}" if name else path


def _known(model: Mapping[str, Any]) -> KnownUser:
    return KnownUser(
        model["name"],
        tuple(sorted(model.get("groups", []))),
        tuple(sorted(model.get("roles", []))),
        model.get("last_activity"),
    )


def _token(model: Mapping[str, Any]) -> Token:
    return Token(
        id=model["id"],
        user=model.get("user", ""),
        note=model.get("note") or "",
        scopes=model.get("scopes", []),
        created_at=model["created"],
        expires_at=model.get("expires_at"),
        last_activity_at=model.get("last_activity"),
        server=bool(model.get("session_id"))
        or model.get("oauth_client") != _MADE_BY_HAND
        or (model.get("note") or "").startswith(_SERVER_NOTE),
    )


def _parsed(text: str) -> Any:
    try:
        return json.loads(text) if text else None
    except ValueError:
        raise TeamhubError("the hub's answer is not JSON; is something else on its port?") from None


def _message(text: str) -> str:
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return " ".join(text.split())[:200] or "no reason given"
