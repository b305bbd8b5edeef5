"""A small stand-in for the hub: `/hub/api/user`, and what a test tells it to answer."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

SERVICE_TOKEN = "service-token"
GATEWAY_SCOPE = "access:services!service=gateway"


class HubStandIn:
    """Attributes:
    tokens: token to the model that `/user` answers.
    away: the database is away: every token is answered 403, as JupyterHub does.
    unsure: tokens that are answered 503: the hub cannot note that they are used (a full disk).
    status: answered to everybody, where set.
    gate: where set, requests wait for it.
    asked: how often each token was asked for.
    """

    def __init__(self) -> None:
        self.tokens: dict[str, dict[str, Any]] = {
            SERVICE_TOKEN: {"kind": "service", "name": "gateway", "scopes": []}
        }
        self.away = False
        self.unsure: set[str] = set()
        self.status: int | None = None
        self.gate: asyncio.Event | None = None
        self.arrived = asyncio.Event()
        self.asked: Counter[str] = Counter()
        app = web.Application()
        app.add_routes([web.get("/hub/api/user", self._user)])
        self._server = TestServer(app)

    def knows(self, token: str, name: str, *, scope: str = GATEWAY_SCOPE, **more: Any) -> None:
        self.tokens[token] = {"kind": "user", "name": name, "scopes": [scope], **more}

    async def start(self) -> str:
        """Return the URL of its API."""
        await self._server.start_server()
        return str(self._server.make_url("/hub/api"))

    async def stop(self) -> None:
        await self._server.close()

    async def _user(self, request: web.Request) -> web.Response:
        token = request.headers.get("Authorization", "").removeprefix("token ")
        self.asked[token] += 1
        self.arrived.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.status is not None:
            return web.Response(status=self.status, text="not JSON")
        if token in self.unsure:
            return web.json_response({"status": 503}, status=503)
        if self.away or token not in self.tokens:
            return web.json_response({"status": 403}, status=403)
        return web.json_response(self.tokens[token])
