"""The gateway as one aiohttp application: who is asking, what errors look like, health."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from time import monotonic

from aiohttp import web

from teamhub.config import Config
from teamhub.errors import (
    NotFoundError,
    RefusedError,
    StoreError,
    TeamhubError,
)
from teamhub.gateway.access import Access, HubAwayError, UnknownTokenError
from teamhub.gateway.kernels import Kernels
from teamhub.gateway.kernelspecs import Kernelspecs
from teamhub.gateway.link import Keys
from teamhub.gateway.routes import CALLER, TOKEN, BadRequestError, Routes
from teamhub.gateway.sessions import NotebookSessions
from teamhub.store import Store
from teamhub.store.database import now

log = logging.getLogger("teamhub.gateway")

BASE = "/services/gateway"
_OPEN = frozenset({f"{BASE}/", f"{BASE}/api", f"{BASE}/healthz", f"{BASE}/readyz"})
_REVOCATIONS_SECONDS = 10.0
_BODY_BYTES = 2 * 1024**2
_PATH_CHARACTERS = 256
"""Of a path in the log: ours are shorter, and a stranger's fill no disk."""

_STATUS: tuple[tuple[type[TeamhubError], HTTPStatus], ...] = (
    (BadRequestError, HTTPStatus.BAD_REQUEST),
    (UnknownTokenError, HTTPStatus.FORBIDDEN),
    (NotFoundError, HTTPStatus.NOT_FOUND),
    (RefusedError, HTTPStatus.CONFLICT),
    (HubAwayError, HTTPStatus.SERVICE_UNAVAILABLE),
    (StoreError, HTTPStatus.SERVICE_UNAVAILABLE),
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def create(config: Config, store: Store, access: Access, keys: Keys) -> web.Application:
    """Return the application; it runs what it needs between its start-up and its clean-up.

    Args:
        config: the settings.
        store: open, and receiving wake-ups.
        access: opened and closed by the application.
        keys: the gateway's own CurveZMQ keys.
    """
    kernels = Kernels(config, store, keys)
    routes = Routes(
        config, access, kernels, Kernelspecs(config, BASE), NotebookSessions(store, kernels)
    )

    @web.middleware
    async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except TeamhubError as error:
            status = next((s for kind, s in _STATUS if isinstance(error, kind)), None)
            status = status or HTTPStatus.INTERNAL_SERVER_ERROR
            return problem(status, str(error))
        except web.HTTPException as error:
            if error.status < 400:
                raise
            return problem(HTTPStatus(error.status), error.text or error.reason)
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception:
            log.exception("%s %s failed", request.method, request.path)
            return problem(
                HTTPStatus.INTERNAL_SERVER_ERROR, "a fault in the gateway; its log has the details"
            )

    @web.middleware
    async def logged(request: web.Request, handler: Handler) -> web.StreamResponse:
        # The path alone, as it came: a query may hold a token, and %0A would begin a line.
        began = monotonic()
        status = 499  # the client went away
        try:
            response = await handler(request)
            status = response.status
            return response
        finally:
            caller = request.get(CALLER)
            log.info(
                "%s %s %d %s %.0f ms",
                request.method,
                request.rel_url.raw_path[:_PATH_CHARACTERS],
                status,
                caller.name if caller else "-",
                1000 * (monotonic() - began),
            )

    @web.middleware
    async def callers(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path not in _OPEN:
            token = token_of(request)
            request[TOKEN] = token
            request[CALLER] = await access.caller(token)
        return await handler(request)

    async def healthz(_request: web.Request) -> web.Response:
        return web.json_response({"ok": True})

    async def readyz(_request: web.Request) -> web.Response:
        checks = {
            "database": await _database_answers(store),
            "hub": await access.hub_answers(),
            "dispatcher": await _dispatcher_beats(store, config.dispatcher.lease_seconds),
        }
        ready = all(checks.values())
        return web.json_response({"ready": ready, "checks": checks}, status=200 if ready else 503)

    async def running(_app: web.Application) -> AsyncIterator[None]:
        await access.open()
        # Before the first request: else a list of kernels would be empty that is not.
        with contextlib.suppress(StoreError):
            await kernels.look()
        following = [
            asyncio.create_task(kernels.run()),
            asyncio.create_task(_forget_revoked(store, access)),
        ]
        yield
        for task in following:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        kernels.close()
        await access.close()

    app = web.Application(middlewares=[logged, errors, callers], client_max_size=_BODY_BYTES)
    app.add_routes([web.get(f"{BASE}/healthz", healthz), web.get(f"{BASE}/readyz", readyz)])
    app.add_routes(
        [web.RouteDef(r.method, BASE + r.path, r.handler, r.kwargs) for r in routes.table()]
    )
    app.cleanup_ctx.append(running)
    return app


async def _forget_revoked(store: Store, access: Access) -> None:
    """Have the hub asked anew about every token whenever one was revoked."""
    known: int | None = None
    with store.subscribe() as wakes:
        while True:
            with contextlib.suppress(StoreError):
                count = await store.revocations.count()
                if known is not None and count != known:
                    access.forget()
                known = count
            await wakes.wait(_REVOCATIONS_SECONDS)


def token_of(request: web.Request) -> str:
    """Return the token that a request carries, empty where it has none."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() in {"token", "bearer"} and value.strip():
        return value.strip()
    return request.query.get("token", "")


def problem(status: HTTPStatus, message: str) -> web.Response:
    """Return an error as Jupyter clients expect it."""
    return web.json_response(
        {"message": message, "reason": status.phrase, "code": int(status)}, status=int(status)
    )


async def _database_answers(store: Store) -> bool:
    try:
        await store.ping()
    except StoreError:
        return False
    return True


async def _dispatcher_beats(store: Store, lease_seconds: float) -> bool:
    try:
        held = await store.lease.held()
    except StoreError:
        return False
    return (
        held is not None
        and bool(held.holder)
        and (now() - held.heartbeat_at).total_seconds() <= lease_seconds
    )
