"""The gateway as one aiohttp application: who is asking, what errors look like, health."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from time import monotonic
from typing import Any

from aiohttp import web

from teamhub.config import Config
from teamhub.disk import Disk
from teamhub.errors import (
    StoreError,
)
from teamhub.gateway import middlewares, schemas
from teamhub.gateway.access import Access
from teamhub.gateway.bodies import BODY_BYTES
from teamhub.gateway.kernels import Kernels
from teamhub.gateway.kernelspecs import Kernelspecs
from teamhub.gateway.link import Keys
from teamhub.gateway.openapi import Operation, Yaml, describe
from teamhub.gateway.routes import Routes
from teamhub.gateway.sessions import NotebookSessions
from teamhub.store import Store
from teamhub.store.database import now

log = logging.getLogger("teamhub.gateway")

BASE = "/services/gateway"
_SPEC = "/api/spec.json"
_REVOCATIONS_SECONDS = 10.0
_WRITING_TRIED_SECONDS = 5.0
LINE_BYTES = 64 * 1024
"""Of HTTP's, for whoever runs the application: more than it takes, and than the proxy lets through,
so that it is the application that says what is too long, in words."""

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

    database = _Database(store)

    async def healthz(_request: web.Request) -> web.Response:
        """Whether the process answers at all."""
        health: schemas.Health = {"ok": True}
        return web.json_response(health)

    async def readyz(_request: web.Request) -> web.Response:
        """Whether kernels can be started and used: each thing that is needed for it."""
        checks = {
            "database": await database.works(),
            "hub": await access.hub_answers(),
            "disk": _has_room(config.data_dir),
            "dispatcher": await _dispatcher_beats(store, config.dispatcher.lease_seconds),
        }
        ready = all(checks.values())
        readiness: schemas.Readiness = {"ready": ready, "checks": checks}
        return web.json_response(readiness, status=200 if ready else 503)

    async def description(request: web.Request) -> web.Response:
        """This description, OpenAPI 3.1. JSON is YAML, too: both addresses have the same text."""
        kind = "application/yaml" if request.path.endswith(".yaml") else "application/json"
        return web.Response(text=described, content_type=kind)

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

    ok, away = HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE
    operations = [
        *routes.table(),
        _open("/healthz", healthz, {ok: schemas.Health}),
        _open("/readyz", readyz, {ok: schemas.Readiness, away: schemas.Readiness}),
        _open(_SPEC, description, {ok: dict[str, Any]}),
        _open("/api/spec.yaml", description, {ok: Yaml}, name="description_as_yaml"),
    ]
    described = json.dumps(describe(operations, BASE), ensure_ascii=False)
    open_to_all = {BASE + each.path for each in operations if not each.needs_token}
    app = web.Application(
        middlewares=[
            middlewares.logged,
            middlewares.errors(f"{BASE}{_SPEC}"),
            middlewares.short,
            middlewares.callers(access, open_to_all),
            middlewares.about_request,
        ],
        client_max_size=BODY_BYTES,
    )
    app.add_routes([operation.route(BASE) for operation in operations])
    app.on_response_prepare.append(middlewares.name)
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


def _open(path: str, handler: Handler, answers: Mapping[int, Any], name: str = "") -> Operation:
    return Operation("GET", path, handler, "server", answers, needs_token=False, name=name)


class _Database:
    """Whether the store can be read and written. Writing is tried once in a while, not each time.

    A full disk lets everything be read, and nothing be started.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._trying = asyncio.Lock()
        self._tried_at = -math.inf
        self._written = False

    async def works(self) -> bool:
        """Return whether it can be read now, and written within the last seconds."""
        try:
            await self._store.ping()
        except StoreError:
            return False
        async with self._trying:
            if monotonic() - self._tried_at >= _WRITING_TRIED_SECONDS:
                self._written = await self._is_written()
                self._tried_at = monotonic()
            return self._written

    async def _is_written(self) -> bool:
        try:
            await self._store.try_writing()
        except StoreError as error:
            log.warning("not ready: %s", error)
            return False
        return True


def _has_room(data_dir: Path) -> bool:
    """Asked beside the database, whose journal may have room of its own when nothing else has."""
    try:
        return not Disk.of(data_dir).full
    except OSError:
        return True  # not there, or not to be seen from here: that is no full disk


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
