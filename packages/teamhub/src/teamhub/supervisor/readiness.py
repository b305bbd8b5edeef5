"""Whether people can sign in and start kernels: asked the way their browsers ask."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

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
    """Asks a deployment through its public address.

    Used as `async with`. Never goes through the machine's web proxy: it is this machine.
    """

    def __init__(self, deployment: Deployment) -> None:
        super().__init__(_ANSWER_SECONDS)
        self._url = deployment.public_url()

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
            why = readyz.missing or f"it answers {readyz.status or 'nothing'}"
            problems[GATEWAY] = f"the gateway is not ready: {why}"
        return Readiness(problems)

    async def _get(self, path: str) -> _Answer:
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
