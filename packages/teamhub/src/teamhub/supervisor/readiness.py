"""Whether people can sign in and start kernels: asked, in the end, the way their browsers ask."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import aiohttp

from teamhub.asking import Asking
from teamhub.deployment import Deployment
from teamhub.supervisor.programs import GATEWAY, HUB, PROXY

_ANSWER_SECONDS = 5
_MISSING = {
    "database": "the database cannot be read and written",
    "hub": "the hub does not say whose tokens are",
    "disk": "the disk of the data directory is full",
    "dispatcher": "the dispatcher gives no sign of life",
}
"""What the gateway's checks mean where they fail."""


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


class Checks(Asking):
    """Asks a deployment: the hub and the gateway at their own ports, then the way browsers do.

    Only what answers at its own port is asked for through the public address: of everything else
    the proxy writes a warning with a trace, and a start would fill its log with them.
    Used as `async with`. Never goes through the machine's web proxy: it is this machine.
    """

    def __init__(self, deployment: Deployment) -> None:
        super().__init__(_ANSWER_SECONDS)
        self._url = deployment.public_url()
        self._hub_url = deployment.hub_api_url().removesuffix("/api")
        self._gateway_url = deployment.gateway_url()

    async def check(self) -> Readiness:
        """Return what works now. Never raises."""
        if not await self._proxy_listens():
            return Readiness({PROXY: f"{self._url} does not answer"})
        hub, gateway = await asyncio.gather(self._hub(), self._gateway())
        found = {HUB: hub, GATEWAY: gateway}
        return Readiness({name: problem for name, problem in found.items() if problem})

    async def _proxy_listens(self) -> bool:
        # Without a request: the proxy would ask the hub, and say so where that is away.
        address = urlsplit(self._url)
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                _, writer = await asyncio.open_connection(address.hostname, address.port)
        except (TimeoutError, OSError):
            return False
        writer.close()
        return True

    async def _hub(self) -> str:
        own = await self._get(f"{self._hub_url}/health")
        if own.status != 200:
            return f"the hub answers {own.status or 'nothing'}"
        sign_in = await self._get(f"{self._url}/hub/login")
        if not sign_in.is_sign_in:
            return f"the sign-in page answers {sign_in.status or 'nothing'}"
        return ""

    async def _gateway(self) -> str:
        own = await self._get(f"{self._gateway_url}/healthz")
        if own.status != 200:
            return f"the gateway answers {own.status or 'nothing'}"
        readyz = await self._get(f"{self._gateway_url}/readyz")
        if readyz.status != 200:
            why = readyz.missing or f"it answers {readyz.status or 'nothing'}"
            return f"the gateway is not ready: {why}"
        public = await self._get(f"{self._url}/services/gateway/healthz")
        if public.status != 200:
            return f"the gateway answers {public.status or 'nothing'} through the proxy"
        return ""

    async def _get(self, url: str) -> _Answer:
        try:
            async with self._session.get(url, allow_redirects=False) as response:
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
    def missing(self) -> str:
        """Which of the gateway's checks fail, in words; empty where it names none."""
        try:
            checks = json.loads(self.text)["checks"].items()
        except (ValueError, KeyError, TypeError, AttributeError):
            return ""
        failed = [str(name) for name, good in checks if not good]
        return " and ".join(_MISSING.get(name, f"{name[:20]!r} fails") for name in failed)

    @property
    def is_sign_in(self) -> bool:
        """A page with a form or a way to sign in elsewhere, or sent there at once."""
        if self.status == 200:
            return "<form" in self.text or "oauth_login" in self.text
        return self.status in {302, 303, 307} and "oauth_login" in self.location
