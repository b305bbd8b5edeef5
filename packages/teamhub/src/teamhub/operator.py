"""The operator: what the supervisor and the command line ask of the hub, with a token of their own.

The token is read from the deployment's secrets. It never appears in a message or on a command line.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from urllib.parse import quote

import aiohttp

from teamhub.deployment import Deployment
from teamhub.errors import NotFoundError, NotRunningError, RefusedError, TeamhubError

_ANSWER_SECONDS = 20

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


class Operator:
    """The hub's API for one deployment. Used as `async with`.

    Every call raises NotRunningError where the hub does not answer, RefusedError where it says
    no, NotFoundError where it knows no such thing; TeamhubError for anything else.
    """

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._url = deployment.hub_api_url()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Operator:
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"token {self._deployment.secrets().operator_token}"},
            timeout=aiohttp.ClientTimeout(total=_ANSWER_SECONDS),
            trust_env=False,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def ensure_user(self, name: str) -> None:
        """Make the hub know a user who has not signed in yet. Of one that it knows: nothing."""
        await self._ask("POST", f"/users/{quote(name, safe='')}", also_fine=409)

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

    async def _ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        also_fine: int | None = None,
    ) -> Any:
        assert self._session is not None
        try:
            async with self._session.request(method, self._url + path, json=body) as response:
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
