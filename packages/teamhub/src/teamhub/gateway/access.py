"""Whose token is this? The hub knows; its answers are kept for a while.

An answer is believed for `token_cache_seconds`, and up to `token_grace_seconds` while the hub
cannot say. Of a token that it cannot look up, or whose use it cannot note, the hub says 503 (see
hub/token_owner.py); of a 403 we are sure once it knows our own token.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from time import monotonic

import aiohttp

from teamhub.errors import TeamhubError

log = logging.getLogger("teamhub.gateway.access")

SERVICE = "gateway"
_SCOPES = frozenset({"access:services", f"access:services!service={SERVICE}"})
_KEPT = 10_000
_REFUSED_SECONDS = 5.0
_AWAY_SECONDS = 10.0
_TIMEOUT = aiohttp.ClientTimeout(total=10)


class UnknownTokenError(TeamhubError):
    """The token is missing, unknown, revoked, or not good for the gateway."""

    remedy = (
        "Make a new token on the page Tokens, or have an administrator make one with "
        "`teamhub tokens create`, and send it whole: as `Authorization: token …` or `?token=…`."
    )


class HubAwayError(TeamhubError):
    """The hub cannot be asked, and nothing recent enough is known of the token."""

    remedy = (
        "Try again in a moment: the hub is restarted when it ends, and running kernels are not "
        "affected. If it lasts, `teamhub status` says what is wrong with the hub."
    )


@dataclass(frozen=True)
class Caller:
    """Who is asking, as the hub says."""

    name: str
    admin: bool = False


@dataclass(frozen=True)
class _Answer:
    caller: Caller | None
    at: float
    not_again_before: float = 0.0
    """Until then the hub, which could not say, is not asked again: each time may take long."""


class Access:
    """Asks the hub whose tokens are.

    Args:
        hub_api_url: such as http://127.0.0.1:8081/hub/api.
        service_token: the gateway's own.
        cache_seconds: how long an answer is believed.
        grace_seconds: how long it is believed while the hub cannot say.
        clock: seconds from any moment on.
    """

    def __init__(
        self,
        hub_api_url: str,
        service_token: str,
        cache_seconds: float,
        grace_seconds: float,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._url = f"{hub_api_url}/user"
        self._service_token = service_token
        self._cache_seconds = cache_seconds
        self._grace_seconds = grace_seconds
        self._clock = clock
        self._answers: OrderedDict[bytes, _Answer] = OrderedDict()
        self._refusals: OrderedDict[bytes, _Answer] = OrderedDict()
        self._asking: dict[bytes, asyncio.Task[_Answer]] = {}
        self._revocations = 0
        self._revoked = asyncio.Event()
        self._http: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Make ready to ask. A second call does nothing."""
        if self._http is None:
            self._http = aiohttp.ClientSession(timeout=_TIMEOUT)

    async def close(self) -> None:
        """Let go of connections. A second call does nothing."""
        if self._http is not None:
            await self._http.close()
            self._http = None

    async def caller(self, token: str) -> Caller:
        """Return whose token this is.

        Raises:
            UnknownTokenError: nobody's, or it may not use the gateway.
            HubAwayError: the hub cannot say, and said nothing within the grace.
        """
        if not token:
            raise UnknownTokenError(
                "a token is needed, as a header `Authorization: token …` or as `?token=…`; make "
                "one on the hub's page Token, or with `teamhub tokens create`"
            )
        key = hashlib.sha256(token.encode("utf-8", "replace")).digest()
        known = self._answers.get(key) or self._refusals.get(key)
        if known is None or self._is_due(known):
            task = self._asking.get(key)
            if task is None:
                task = asyncio.create_task(self._ask(key, token, known))
                self._asking[key] = task
                task.add_done_callback(lambda _: self._asking.pop(key, None))
            known = await asyncio.shield(task)
        if known.caller is None:
            raise UnknownTokenError("this token is not valid for the gateway; make a new one")
        return known.caller

    def forget(self) -> None:
        """Believe nothing that is known any more: something has been revoked."""
        self._revocations += 1
        self._answers.clear()
        self._revoked.set()
        self._revoked = asyncio.Event()

    async def until_doubtful(self, seconds: float) -> None:
        """Return after so long, or as soon as something has been revoked."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._revoked.wait(), seconds)

    async def hub_answers(self) -> bool:
        """Return whether the hub knows our own token: it and its database are there."""
        try:
            status, _ = await self._get(self._service_token)
        except (aiohttp.ClientError, TimeoutError):
            return False
        return status == 200

    def _is_due(self, answer: _Answer) -> bool:
        seconds = self._cache_seconds
        if answer.caller is None:
            seconds = min(_REFUSED_SECONDS, seconds)
        now = self._clock()
        return now - answer.at > seconds and now >= answer.not_again_before

    async def _ask(self, key: bytes, token: str, known: _Answer | None) -> _Answer:
        while True:
            revocations = self._revocations
            answer = await self._ask_once(key, token, known)
            if revocations == self._revocations:
                return answer
            # The hub may have answered before something was revoked, and we come to it after.
            self._answers.pop(key, None)
            known = None

    async def _ask_once(self, key: bytes, token: str, known: _Answer | None) -> _Answer:
        try:
            status, model = await self._get(token)
            away = status >= 500 or (status in {401, 403} and not await self.hub_answers())
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            log.debug("the hub does not answer: %s", error)
            away, status, model = True, 0, {}
        if away:
            now = self._clock()
            if known is not None and known.caller and now - known.at <= self._grace_seconds:
                again = min(now + _AWAY_SECONDS, known.at + self._grace_seconds)
                self._answers[key] = replace(known, not_again_before=again)
                return known
            raise HubAwayError("the hub cannot be asked who you are; try again in a moment")
        caller = None
        scopes = model.get("scopes")
        if (
            status == 200
            and model.get("kind") == "user"
            and model.get("name")
            and isinstance(scopes, list)
            and _SCOPES.intersection(scopes)
        ):
            caller = Caller(str(model["name"]), bool(model.get("admin")))
        answer = _Answer(caller, self._clock())
        # Refusals apart: anybody can make any number of them, and with them the answers would go
        # by which members pass while the hub is away.
        kept, other = self._answers, self._refusals
        if caller is None:
            kept, other = other, kept
        other.pop(key, None)
        kept[key] = answer
        kept.move_to_end(key)
        while len(kept) > _KEPT:
            kept.popitem(last=False)
        return answer

    async def _get(self, token: str) -> tuple[int, dict[str, object]]:
        assert self._http is not None
        if not token.isascii() or not token.isprintable():
            return 404, {}
        headers = {"Authorization": f"token {token}"}
        async with self._http.get(self._url, headers=headers) as response:
            if response.status != 200:
                return response.status, {}
            model = await response.json()
            return 200, model if isinstance(model, dict) else {}
