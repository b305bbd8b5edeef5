"""Whether people can sign in and start kernels: asked the way their browsers ask."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType

import aiohttp

from teamhub.deployment import Deployment
from teamhub.supervisor.programs import GATEWAY, HUB, PROXY

_ANSWER_SECONDS = 5
_BODY_CHARACTERS = 300


@dataclass(frozen=True)
class Readiness:
    """What does not work yet, in words, by the program that is to blame. Empty: all is ready."""

    problems: Mapping[str, str] = field(default_factory=dict)

    @property
    def ready(self) -> bool:
        """True where people can sign in and start kernels."""
        return not self.problems

    def __str__(self) -> str:
        return "; ".join(self.problems.values()) or "ready"


class Checks:
    """Asks a deployment through its public address.

    Used as `async with`. Never goes through the machine's web proxy: it is this machine.
    """

    def __init__(self, deployment: Deployment) -> None:
        self._url = deployment.public_url()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Checks:
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=_ANSWER_SECONDS), trust_env=False
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

    async def check(self) -> Readiness:
        """Return what works now. Never raises."""
        sign_in, healthz, readyz = await asyncio.gather(
            self._get("/hub/login"),
            self._get("/services/gateway/healthz"),
            self._get("/services/gateway/readyz"),
        )
        problems = {}
        if sign_in.status is None:
            return Readiness({PROXY: f"{self._url} does not answer"})
        if not sign_in.is_sign_in:
            problems[HUB] = f"the sign-in page answers {sign_in.status}"
        if healthz.status != 200:
            problems[GATEWAY] = f"the gateway answers {healthz.status or 'nothing'}"
        elif readyz.status != 200:
            why = f": {readyz.body}" if readyz.body else ""
            problems[GATEWAY] = f"the gateway is not ready{why}"
        return Readiness(problems)

    async def _get(self, path: str) -> _Answer:
        assert self._session is not None
        try:
            async with self._session.get(self._url + path, allow_redirects=False) as response:
                text = await response.text(errors="replace")
                return _Answer(response.status, text, response.headers.get("Location", ""))
        except (aiohttp.ClientError, TimeoutError, OSError):
            return _Answer(None, "", "")


@dataclass(frozen=True)
class _Answer:
    status: int | None
    text: str
    location: str

    @property
    def body(self) -> str:
        return " ".join(self.text.split())[:_BODY_CHARACTERS]

    @property
    def is_sign_in(self) -> bool:
        """A page with a form or a way to sign in elsewhere, or sent there at once."""
        if self.status == 200:
            return "<form" in self.text or "oauth_login" in self.text
        return self.status in {302, 303, 307} and "oauth_login" in self.location
