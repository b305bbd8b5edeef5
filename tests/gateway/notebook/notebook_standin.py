"""A stand-in for the gateway, so that the notebook server can be tested on its own.

It plays the REST and websocket interface as far as these tests ask for it, with kernels that do
nothing but send every message back. It proves how the notebook server behaves, nothing about the
gateway: the end-to-end tests run the real chain.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from aiohttp import WSMsgType, web

V1 = "v1.kernel.websocket.jupyter.org"
PREFIX = "/services/gateway"
TOKEN = "servers-own-token"


@dataclass
class StandInGateway:
    """Kernels and sessions of one member, and everything that was asked, in order."""

    kernels: dict[str, dict[str, Any]] = field(default_factory=dict)
    sessions: dict[str, dict[str, Any]] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    ids: list[tuple[str, str, str]] = field(default_factory=list)
    own_id: str = "feedfeedfeedfeed"
    bodies: list[dict[str, Any]] = field(default_factory=list)
    received: list[str | bytes] = field(default_factory=list)
    sockets: list[web.WebSocketResponse] = field(default_factory=list)
    dialled: list[web.Request] = field(default_factory=list)
    refuse_kernels: tuple[int, str, str] | None = None
    deaf: bool = False
    echo: bool = True
    port: int = 0

    def __post_init__(self) -> None:
        self.changed = asyncio.Condition()
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{PREFIX}"

    async def up(self) -> None:
        """Listen, on the port of the last time if there was one."""
        app = web.Application(middlewares=[self._gate], client_max_size=2**30)
        app.on_response_prepare.append(self._name)
        api = f"{PREFIX}/api"
        app.router.add_get(f"{api}/kernels", self._list_kernels)
        app.router.add_post(f"{api}/kernels", self._start_kernel)
        app.router.add_get(f"{api}/kernels/{{id}}", self._get_kernel)
        app.router.add_delete(f"{api}/kernels/{{id}}", self._delete_kernel)
        app.router.add_post(f"{api}/kernels/{{id}}/{{action}}", self._act)
        app.router.add_get(f"{api}/kernels/{{id}}/channels", self._channels)
        app.router.add_get(f"{api}/kernelspecs", self._specs)
        app.router.add_get(f"{api}/kernelspecs/{{name}}", self._spec)
        app.router.add_get(f"{PREFIX}/kernelspecs/{{name}}/{{file}}", self._resource)
        app.router.add_get(f"{api}/sessions", self._list_sessions)
        app.router.add_post(f"{api}/sessions", self._start_session)
        app.router.add_get(f"{api}/sessions/{{id}}", self._get_session)
        app.router.add_patch(f"{api}/sessions/{{id}}", self._change_session)
        app.router.add_delete(f"{api}/sessions/{{id}}", self._delete_session)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def down(self) -> None:
        """Stop listening and break every connection, as a killed process does."""
        await self.drop()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def drop(self) -> None:
        """Break every websocket without a closing handshake."""
        for request in self.dialled:
            if request.transport is not None:
                request.transport.abort()
        self.sockets.clear()

    async def until(self, condition: Any, deadline_seconds: float = 20) -> None:
        """Wait until a condition on this stand-in holds."""
        async with asyncio.timeout(deadline_seconds), self.changed:
            await self.changed.wait_for(condition)

    def new_kernel(self, name: str = "python3") -> str:
        """Have another kernel, as if it had been started from elsewhere."""
        kernel_id = str(uuid4())
        self.kernels[kernel_id] = {
            "id": kernel_id,
            "name": name,
            "last_activity": "2026-11-23T10:00:00+00:00",
            "execution_state": "starting",
            "connections": 0,
        }
        return kernel_id

    def asked(self, method: str, ending: str) -> int:
        """Return how often something was asked."""
        return sum(1 for one, path in self.requests if one == method and path.endswith(ending))

    async def _tell(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    @web.middleware
    async def _gate(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.requests.append((request.method, request.path))
        their_id = request.headers.get("X-Request-Id", "")
        self.ids.append((request.method, request.path, their_id))
        if request.headers.get("Authorization") != f"token {TOKEN}":
            return web.json_response({"message": "no token", "reason": "forbidden"}, status=403)
        if request.method in {"POST", "PATCH"} and request.can_read_body:
            self.bodies.append(await request.json())
        await self._tell()
        return await handler(request)

    async def _name(self, _request: web.Request, answer: web.StreamResponse) -> None:
        answer.headers["X-Request-Id"] = self.own_id

    def _missing(self) -> web.Response:
        body = {"message": "There is no such kernel", "reason": "not-found"}
        return web.json_response(body, status=404)

    async def _list_kernels(self, _request: web.Request) -> web.Response:
        return web.json_response(list(self.kernels.values()))

    async def _start_kernel(self, _request: web.Request) -> web.Response:
        if self.refuse_kernels:
            status, reason, message = self.refuse_kernels
            said = {"message": message, "reason": reason, "request_id": self.own_id}
            return web.json_response(said, status=status)
        kernel_id = self.new_kernel(self.bodies[-1]["name"])
        return web.json_response(self.kernels[kernel_id], status=201)

    async def _get_kernel(self, request: web.Request) -> web.Response:
        kernel = self.kernels.get(request.match_info["id"])
        return web.json_response(kernel) if kernel else self._missing()

    async def _delete_kernel(self, request: web.Request) -> web.Response:
        if self.kernels.pop(request.match_info["id"], None) is None:
            return self._missing()
        return web.Response(status=204)

    async def _act(self, request: web.Request) -> web.Response:
        if self.refuse_kernels:
            status, reason, message = self.refuse_kernels
            said = {"message": message, "reason": reason, "request_id": self.own_id}
            return web.json_response(said, status=status)
        kernel = self.kernels.get(request.match_info["id"])
        if kernel is None:
            return self._missing()
        if request.match_info["action"] == "interrupt":
            return web.Response(status=204)
        return web.json_response(kernel)

    async def _specs(self, _request: web.Request) -> web.Response:
        specs = {name: _spec_model(name) for name in ("team-python", "my-env")}
        return web.json_response({"default": "team-python", "kernelspecs": specs})

    async def _spec(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in {"team-python", "my-env"}:
            return self._missing()
        return web.json_response(_spec_model(name))

    async def _resource(self, request: web.Request) -> web.Response:
        if request.match_info["file"] != "logo-64x64.png":
            return self._missing()
        return web.Response(body=b"\x89PNG not really", content_type="image/png")

    async def _list_sessions(self, _request: web.Request) -> web.Response:
        return web.json_response(list(self.sessions.values()))

    async def _start_session(self, _request: web.Request) -> web.Response:
        if self.refuse_kernels:
            status, reason, message = self.refuse_kernels
            said = {"message": message, "reason": reason, "request_id": self.own_id}
            return web.json_response(said, status=status)
        body = self.bodies[-1]
        for session in self.sessions.values():
            if session["path"] == body["path"] and session["kernel"]["execution_state"] != "dead":
                return web.json_response(session, status=200)
        kernel_id = body["kernel"].get("id") or self.new_kernel(body["kernel"]["name"])
        session = {
            "id": str(uuid4()),
            "path": body["path"],
            "name": body["name"],
            "type": body["type"],
            "kernel": self.kernels[kernel_id],
        }
        self.sessions[session["id"]] = session
        return web.json_response(session, status=201)

    async def _get_session(self, request: web.Request) -> web.Response:
        session = self.sessions.get(request.match_info["id"])
        return web.json_response(session) if session else self._missing()

    async def _change_session(self, request: web.Request) -> web.Response:
        session = self.sessions.get(request.match_info["id"])
        if session is None:
            return self._missing()
        changes = dict(self.bodies[-1])
        kernel = changes.pop("kernel", None)
        session.update(changes)
        if kernel is not None:
            kernel_id = kernel.get("id") or self.new_kernel(kernel["name"])
            session["kernel"] = self.kernels[kernel_id]
        return web.json_response(session)

    async def _delete_session(self, request: web.Request) -> web.Response:
        session = self.sessions.pop(request.match_info["id"], None)
        if session is None:
            return self._missing()
        self.kernels.pop(session["kernel"]["id"], None)
        return web.Response(status=204)

    async def _channels(self, request: web.Request) -> web.StreamResponse:
        if request.match_info["id"] not in self.kernels:
            return self._missing()
        # Deaf: messages arrive and are lost, and no ping is answered.
        socket = web.WebSocketResponse(protocols=(V1,), max_msg_size=0, autoping=not self.deaf)
        await socket.prepare(request)
        self.sockets.append(socket)
        self.dialled.append(request)
        await self._tell()
        async for message in socket:
            if message.type in {WSMsgType.TEXT, WSMsgType.BINARY}:
                self.received.append(message.data)
                if self.echo:
                    await self.send(socket, message.data)
                await self._tell()
        return socket

    async def send(self, socket: web.WebSocketResponse, message: str | bytes) -> None:
        """Send a message as a kernel would."""
        if isinstance(message, bytes):
            await socket.send_bytes(message)
        else:
            await socket.send_str(message)


def _spec_model(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "spec": {"display_name": name, "language": "python", "argv": []},
        "resources": {"logo-64x64": f"{PREFIX}/kernelspecs/{name}/logo-64x64.png"},
    }
