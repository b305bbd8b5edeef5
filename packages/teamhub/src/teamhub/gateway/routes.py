"""REST: thin. Who is asking is known before a handler runs."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

import teamhub
from teamhub.config import Config
from teamhub.errors import NotFoundError, RefusedError, TeamhubError
from teamhub.gateway import wire
from teamhub.gateway.access import Access, Caller
from teamhub.gateway.channels import Channels
from teamhub.gateway.kernel import Kernel
from teamhub.gateway.kernels import Kernels
from teamhub.gateway.kernelspecs import Kernelspec, Kernelspecs
from teamhub.gateway.sessions import NotebookSessions

CALLER = web.RequestKey("caller", Caller)
TOKEN = web.RequestKey("token", str)

_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_ENV_OURS = ("TEAMHUB_", "JUPYTERHUB_", "KERNEL_", "LD_", "JPY_API_TOKEN")
_PATH_CHARACTERS = 4096
_TYPE_CHARACTERS = 32


class BadRequestError(TeamhubError):
    """What the client sent cannot be understood; the message says what was expected."""


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

    def table(self) -> list[web.RouteDef]:
        """Return all routes, relative to the gateway's base path."""
        kernel = "/api/kernels/{kernel_id}"
        session = "/api/sessions/{session_id}"
        return [
            web.get("/", self.version),
            web.get("/api", self.version),
            web.get("/api/me", self.me),
            web.get("/api/status", self.status),
            web.get("/api/kernelspecs", self.kernelspecs),
            web.get("/api/kernelspecs/{name}", self.kernelspec),
            web.get("/kernelspecs/{name}/{file}", self.resource),
            web.get("/api/kernels", self.list_kernels),
            web.post("/api/kernels", self.create_kernel),
            web.get(kernel, self.get_kernel),
            web.delete(kernel, self.delete_kernel),
            web.post(kernel + "/interrupt", self.interrupt_kernel),
            web.post(kernel + "/restart", self.restart_kernel),
            web.get(kernel + "/channels", self.channels),
            web.get("/api/sessions", self.list_sessions),
            web.post("/api/sessions", self.create_session),
            web.get(session, self.get_session),
            web.patch(session, self.change_session),
            web.delete(session, self.delete_session),
            web.get("/api/contents", self.contents),
            web.get("/api/contents/", self.contents),
        ]

    # What there is

    async def version(self, _request: web.Request) -> web.Response:
        """The version; needs no token, as with Jupyter Server."""
        return web.json_response({"version": teamhub.__version__})

    async def me(self, request: web.Request) -> web.Response:
        """Who the token belongs to."""
        name = request[CALLER].name
        identity = {"username": name, "name": name, "display_name": name, "initials": name[:2]}
        return web.json_response({"identity": identity, "permissions": {}})

    async def status(self, request: web.Request) -> web.Response:
        """A summary of the caller's kernels, as Jupyter Server has it."""
        kernels = self._kernels.of(request[CALLER].name)
        models = [kernel.model for kernel in kernels]
        return web.json_response(
            {
                "connections": sum(model["connections"] for model in models),
                "kernels": len(models),
                "last_activity": max(
                    (model["last_activity"] for model in models), default=_moment()
                ),
                "started": _moment(),
            }
        )

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
        return web.FileResponse(path, headers={"Cache-Control": "private, max-age=3600"})

    async def contents(self, _request: web.Request) -> web.Response:
        """No files here: an empty folder, for clients that insist on looking."""
        return web.json_response(
            {
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
        )

    # Kernels

    async def list_kernels(self, request: web.Request) -> web.Response:
        """The caller's kernels, nobody else's."""
        kernels = self._kernels.of(request[CALLER].name)
        return web.json_response([kernel.model for kernel in kernels])

    async def create_kernel(self, request: web.Request) -> web.Response:
        """Start a kernel; answered at once, while it is still starting."""
        body = await _body(request)
        owner = request[CALLER].name
        kernel = await self._kernels.create(
            owner,
            self._spec(_text(body, "name")),
            working_dir=self._working_dir(owner, _text(body, "path")),
            env=self._env(body),
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
        websocket = web.WebSocketResponse(
            protocols=(wire.V1,),
            heartbeat=self._config.gateway.ping_seconds,
            max_msg_size=self._config.gateway.maximum_message_bytes,
            compress=False,
            autoping=False,
        )
        if not websocket.can_prepare(request).ok:
            raise BadRequestError("this address takes a websocket")
        await websocket.prepare(request)
        channels = Channels(
            websocket,
            request.query.get("session_id", "")[:255],
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
        body = await _body(request)
        owner = request[CALLER].name
        path = _path(body)
        if not path:
            raise BadRequestError("path: should be the notebook's path")
        wanted = _table(body, "kernel")
        kernel_id = _text(wanted, "id")
        kernel: Kernel | None = None
        if kernel_id is not None:
            kernel = await self._kernels.get(owner, kernel_id)
        model = await self._sessions.open(
            owner,
            path,
            name=_name(body) or "",
            type_=_type(body) or "notebook",
            spec=self._spec(_text(wanted, "name")) if kernel is None else None,
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
        body = await _body(request)
        owner = request[CALLER].name
        wanted = _table(body, "kernel")
        kernel_id, kernel_name = _text(wanted, "id"), _text(wanted, "name")
        kernel = await self._kernels.get(owner, kernel_id) if kernel_id else None
        model = await self._sessions.change(
            owner,
            request.match_info["session_id"],
            path=_path(body),
            name=_name(body),
            type_=_type(body),
            kernel=kernel,
            spec=self._spec(kernel_name) if kernel_name and kernel is None else None,
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
        if "\0" in inside or len(inside) > _PATH_CHARACTERS:
            raise BadRequestError("path: should be a directory's path, relative to your home")
        home = self._config.home_of(owner)
        return str(home / inside) if inside else str(home)

    def _env(self, body: Mapping[str, Any]) -> dict[str, str]:
        """A client's own variables, for its own kernel alone; ours cannot be set."""
        env = {}
        for name, value in _table(body, "env").items():
            if not _ENV_NAME.fullmatch(name) or not wire.is_text(value):
                raise BadRequestError(f"env: {name[:64]!r} should be a variable's name, and text")
            if not name.startswith(_ENV_OURS):
                env[name] = value
        size = sum(len(name) + len(value.encode()) for name, value in env.items())
        if size > self._config.kernels.environment_bytes:
            raise BadRequestError(
                f"env: should be at most {self._config.kernels.environment_bytes} bytes"
            )
        return env


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


async def _body(request: web.Request) -> dict[str, Any]:
    data = await request.read()
    if not data.strip():
        return {}
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadRequestError(f"the body should be JSON: {str(error)[:200]}") from None
    if not isinstance(value, dict):
        raise BadRequestError("the body should be a JSON object")
    return value


def _text(body: Mapping[str, Any], key: str) -> str | None:
    value = body.get(key)
    if value is not None and not wire.is_text(value):
        raise BadRequestError(f"{key}: should be text")
    return value or None


def _path(body: Mapping[str, Any]) -> str | None:
    value = _text(body, "path") or _text(_table(body, "notebook"), "path")
    if value is not None and len(value) > _PATH_CHARACTERS:
        raise BadRequestError(f"path: should have at most {_PATH_CHARACTERS} characters")
    return value


def _name(body: Mapping[str, Any]) -> str | None:
    value = _text(body, "name")
    if value is not None and len(value) > _PATH_CHARACTERS:
        raise BadRequestError(f"name: should have at most {_PATH_CHARACTERS} characters")
    return value


def _type(body: Mapping[str, Any]) -> str | None:
    value = _text(body, "type")
    if value is not None and len(value) > _TYPE_CHARACTERS:
        raise BadRequestError("type: should be a word such as notebook or console")
    return value


def _table(body: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = body.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadRequestError(f"{key}: should be an object")
    return value


def _moment() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")
