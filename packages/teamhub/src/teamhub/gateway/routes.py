"""REST: thin. Who is asking is known before a handler runs."""

from __future__ import annotations

import asyncio
import posixpath
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus

from aiohttp import web

import teamhub
from teamhub.config import Config
from teamhub.errors import NotFoundError, RefusedError
from teamhub.gateway import bodies, schemas, wire
from teamhub.gateway.access import Access, Caller
from teamhub.gateway.bodies import (
    BadRequestError,
    KernelOfSession,
    KernelWanted,
    SessionChange,
    SessionWanted,
)
from teamhub.gateway.channels import Channels
from teamhub.gateway.kernel import Kernel
from teamhub.gateway.kernels import Kernels
from teamhub.gateway.kernelspecs import Kernelspec, Kernelspecs
from teamhub.gateway.openapi import QUERY_SESSION, RESOURCE_TYPES, Files, Operation
from teamhub.gateway.sessions import NotebookSessions

CALLER = web.RequestKey("caller", Caller)
TOKEN = web.RequestKey("token", str)

_ENV_OURS = ("TEAMHUB_", "JUPYTERHUB_", "KERNEL_", "LD_", "JPY_API_TOKEN")


class Routes:
    """The handlers of the Jupyter kernel API.

    Args:
        config: the settings.
        access: who may do what.
        kernels: the living kernels.
        specs: what can be started.
        sessions: notebooks and their kernels.
    """

    def __init__(
        self,
        config: Config,
        access: Access,
        kernels: Kernels,
        specs: Kernelspecs,
        sessions: NotebookSessions,
    ) -> None:
        self._config = config
        self._access = access
        self._kernels = kernels
        self._specs = specs
        self._sessions = sessions

    def table(self) -> list[Operation]:
        """Return all that is answered here, relative to the gateway's base path."""
        kernel, session = "/api/kernels/{kernel_id}", "/api/sessions/{session_id}"
        none, taken = HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT
        bad = HTTPStatus.BAD_REQUEST
        of_kernel = dict.fromkeys(
            ("get_kernel", "interrupt_kernel", "restart_kernel", "channels", "delete_kernel"),
            "kernel_id",
        )
        of_session = dict.fromkeys(
            ("get_session", "change_session", "delete_session"), "session_id"
        )
        return [
            Operation(
                "GET", "/", self.version, "server", {200: schemas.Version}, needs_token=False
            ),
            Operation(
                "GET",
                "/api",
                self.version,
                "server",
                {200: schemas.Version},
                needs_token=False,
                name="api_version",
            ),
            Operation("GET", "/api/me", self.me, "server", {200: schemas.Me}),
            Operation("GET", "/api/status", self.status, "server", {200: schemas.Summary}),
            Operation(
                "GET",
                "/api/kernelspecs",
                self.kernelspecs,
                "kernelspecs",
                {200: schemas.Kernelspecs},
            ),
            Operation(
                "GET",
                "/api/kernelspecs/{name}",
                self.kernelspec,
                "kernelspecs",
                {200: schemas.Kernelspec},
                (none,),
            ),
            Operation(
                "GET",
                "/kernelspecs/{name}/{file}",
                self.resource,
                "kernelspecs",
                {200: Files},
                (none,),
            ),
            Operation(
                "GET", "/api/kernels", self.list_kernels, "kernels", {200: list[schemas.Kernel]}
            ),
            Operation(
                "POST",
                "/api/kernels",
                self.create_kernel,
                "kernels",
                {201: schemas.Kernel},
                (none, taken),
                body=KernelWanted,
                leads_to=of_kernel,
                has_location=True,
            ),
            Operation("GET", kernel, self.get_kernel, "kernels", {200: schemas.Kernel}, (none,)),
            Operation("DELETE", kernel, self.delete_kernel, "kernels", {204: None}, (none,)),
            Operation(
                "POST",
                kernel + "/interrupt",
                self.interrupt_kernel,
                "kernels",
                {204: None},
                (none, taken),
            ),
            Operation(
                "POST",
                kernel + "/restart",
                self.restart_kernel,
                "kernels",
                {200: schemas.Kernel},
                (none, taken),
            ),
            Operation(
                "GET",
                kernel + "/channels",
                self.channels,
                "kernels",
                {101: None},
                (bad, none),
                query=(QUERY_SESSION,),
            ),
            Operation(
                "GET", "/api/sessions", self.list_sessions, "sessions", {200: list[schemas.Session]}
            ),
            Operation(
                "POST",
                "/api/sessions",
                self.create_session,
                "sessions",
                {201: schemas.Session},
                (none, taken),
                body=SessionWanted,
                leads_to=of_session,
            ),
            Operation(
                "GET", session, self.get_session, "sessions", {200: schemas.Session}, (none,)
            ),
            Operation(
                "PATCH",
                session,
                self.change_session,
                "sessions",
                {200: schemas.Session},
                (none, taken),
                body=SessionChange,
            ),
            Operation("DELETE", session, self.delete_session, "sessions", {204: None}, (none,)),
            Operation("GET", "/api/contents", self.contents, "server", {200: schemas.Folder}),
            Operation(
                "GET",
                "/api/contents/",
                self.contents,
                "server",
                {200: schemas.Folder},
                name="contents_of_root",
            ),
        ]

    # What there is

    async def version(self, _request: web.Request) -> web.Response:
        """The version; needs no token, as with Jupyter Server."""
        version: schemas.Version = {"version": teamhub.__version__}
        return web.json_response(version)

    async def me(self, request: web.Request) -> web.Response:
        """Who the token belongs to."""
        name = request[CALLER].name
        identity: schemas.Identity = {
            "username": name,
            "name": name,
            "display_name": name,
            "initials": name[:2],
        }
        me: schemas.Me = {"identity": identity, "permissions": {}}
        return web.json_response(me)

    async def status(self, request: web.Request) -> web.Response:
        """A summary of the caller's kernels, as Jupyter Server has it."""
        kernels = self._kernels.of(request[CALLER].name)
        models = [kernel.model for kernel in kernels]
        summary: schemas.Summary = {
            "connections": sum(model["connections"] for model in models),
            "kernels": len(models),
            "last_activity": max((model["last_activity"] for model in models), default=_moment()),
            "started": _moment(),
        }
        return web.json_response(summary)

    async def kernelspecs(self, _request: web.Request) -> web.Response:
        """What can be started."""
        return web.json_response(self._specs.models())

    async def kernelspec(self, request: web.Request) -> web.Response:
        """One kernelspec."""
        return web.json_response(self._specs.model(self._spec(request.match_info["name"])))

    async def resource(self, request: web.Request) -> web.StreamResponse:
        """A logo or another file of a kernelspec."""
        path = self._specs.resource(request.match_info["name"], request.match_info["file"])
        if path is None:
            raise NotFoundError("there is no such file of a kernelspec")
        # Not a FileResponse, which also answers a Range with 206 or 416: these files are small.
        return web.Response(
            body=await asyncio.to_thread(path.read_bytes),
            content_type=RESOURCE_TYPES.get(path.suffix, "application/octet-stream"),
            headers={"Cache-Control": "private, max-age=3600"},
        )

    async def contents(self, _request: web.Request) -> web.Response:
        """No files here: an empty folder, for clients that insist on looking."""
        folder: schemas.Folder = {
            "name": "",
            "path": "",
            "type": "directory",
            "format": "json",
            "mimetype": None,
            "size": None,
            "writable": False,
            "hash": None,
            "hash_algorithm": None,
            "created": _moment(),
            "last_modified": _moment(),
            "content": [],
        }
        return web.json_response(folder)

    # Kernels

    async def list_kernels(self, request: web.Request) -> web.Response:
        """The caller's kernels, nobody else's."""
        kernels = self._kernels.of(request[CALLER].name)
        return web.json_response([kernel.model for kernel in kernels])

    async def create_kernel(self, request: web.Request) -> web.Response:
        """Start a kernel; answered at once, while it is still starting."""
        body = await bodies.read(request, KernelWanted)
        owner = request[CALLER].name
        kernel = await self._kernels.create(
            owner,
            self._spec(body.name),
            working_dir=self._working_dir(owner, body.path),
            env=self._env(body.env),
        )
        location = f"{request.path.rstrip('/')}/{kernel.workload.id}"
        return web.json_response(kernel.model, status=201, headers={"Location": location})

    async def get_kernel(self, request: web.Request) -> web.Response:
        """One kernel."""
        return web.json_response((await self._kernel(request)).model)

    async def delete_kernel(self, request: web.Request) -> web.Response:
        """Stop a kernel; it is gone from the list at once."""
        await self._kernels.delete(await self._kernel(request))
        return web.Response(status=204)

    async def interrupt_kernel(self, request: web.Request) -> web.Response:
        """Interrupt what a kernel does."""
        kernel = await self._kernel(request)
        try:
            await kernel.interrupt()
        except TimeoutError:
            raise RefusedError("the kernel did not answer in time; try again") from None
        return web.Response(status=204)

    async def restart_kernel(self, request: web.Request) -> web.Response:
        """Restart a kernel in place; answered when the new process is there."""
        kernel = await self._kernel(request)
        try:
            await kernel.restart()
        except TimeoutError:
            raise RefusedError("the kernel did not come back in time; try again") from None
        return web.json_response(kernel.model)

    async def channels(self, request: web.Request) -> web.StreamResponse:
        """A kernel's websocket."""
        kernel = await self._kernel(request)
        session = request.query.get("session_id", "")
        if len(session) > wire.SESSION_CHARACTERS or not wire.is_text(session):
            raise BadRequestError(
                f"session_id: should be text of at most {wire.SESSION_CHARACTERS} characters"
            )
        websocket = web.WebSocketResponse(
            protocols=(wire.V1,),
            heartbeat=self._config.gateway.ping_seconds,
            max_msg_size=self._config.gateway.maximum_message_bytes,
            compress=False,
            autoping=False,
        )
        # aiohttp fails on a key that is not ASCII.
        key = request.headers.get("Sec-WebSocket-Key", "")
        if not key.isascii() or not websocket.can_prepare(request).ok:
            raise BadRequestError(
                "this address takes a websocket; the kernel itself is at the one without /channels"
            )
        await websocket.prepare(request)
        channels = Channels(
            websocket,
            session,
            v1=websocket.ws_protocol == wire.V1,
            abort=lambda: _abort(request),
        )
        await channels.serve(
            kernel, self._access, request[TOKEN], self._config.gateway.token_cache_seconds
        )
        return websocket

    # Sessions

    async def list_sessions(self, request: web.Request) -> web.Response:
        """The caller's sessions."""
        return web.json_response(await self._sessions.list(request[CALLER].name))

    async def create_session(self, request: web.Request) -> web.Response:
        """Bind a notebook to a kernel; a path that has a living one gets that one."""
        body = await bodies.read(request, SessionWanted)
        owner = request[CALLER].name
        path = body.where
        if path is None:
            raise BadRequestError("path: should be the notebook's path")
        wanted = body.kernel or KernelOfSession()
        kernel = await self._kernels.get(owner, wanted.id) if wanted.id else None
        model = await self._sessions.open(
            owner,
            path,
            name=body.name or "",
            type_=body.type or "notebook",
            spec=self._spec(wanted.name) if kernel is None else None,
            kernel=kernel,
            working_dir=self._working_dir(owner, posixpath.dirname(path)),
        )
        # 201 for one that was there already, too: Jupyter's own client accepts nothing else.
        return web.json_response(model, status=201)

    async def get_session(self, request: web.Request) -> web.Response:
        """One session."""
        session_id = request.match_info["session_id"]
        return web.json_response(await self._sessions.get(request[CALLER].name, session_id))

    async def change_session(self, request: web.Request) -> web.Response:
        """Rename a session, or give it another kernel."""
        body = await bodies.read(request, SessionChange)
        owner = request[CALLER].name
        wanted = body.kernel or KernelOfSession()
        kernel = await self._kernels.get(owner, wanted.id) if wanted.id else None
        model = await self._sessions.change(
            owner,
            request.match_info["session_id"],
            path=body.where,
            name=body.name or None,
            type_=body.type or None,
            kernel=kernel,
            spec=self._spec(wanted.name) if wanted.name and kernel is None else None,
        )
        return web.json_response(model)

    async def delete_session(self, request: web.Request) -> web.Response:
        """End a session and its kernel."""
        await self._sessions.delete(request[CALLER].name, request.match_info["session_id"])
        return web.Response(status=204)

    # What a request says, checked

    async def _kernel(self, request: web.Request) -> Kernel:
        return await self._kernels.get(request[CALLER].name, request.match_info["kernel_id"])

    def _spec(self, name: str | None) -> Kernelspec:
        spec = self._specs.get(name)
        if spec is None:
            known = ", ".join(self._specs.models()["kernelspecs"])
            raise NotFoundError(f"there is no kernelspec {str(name)[:64]!r}; there are: {known}")
        return spec

    def _working_dir(self, owner: str, path: str | None) -> str:
        """A directory within the home, whatever was asked for."""
        inside = posixpath.normpath("/" + (path or "")).lstrip("/")
        home = self._config.home_of(owner)
        return str(home / inside) if inside else str(home)

    def _env(self, wanted: Mapping[str, str] | None) -> dict[str, str]:
        """A client's own variables, for its own kernel alone; ours cannot be set."""
        env = {k: v for k, v in (wanted or {}).items() if not k.startswith(_ENV_OURS)}
        size = sum(len(name) + len(value.encode()) for name, value in env.items())
        if size > self._config.kernels.environment_bytes:
            raise BadRequestError(
                f"env: should be at most {self._config.kernels.environment_bytes} bytes"
            )
        return env


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


def _moment() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")
