"""Two request handlers of jupyter_server that would hide what the gateway said.

Upstream turns every failure to start or restart a kernel into a 500. These let the gateway's
own status and words through, so that a client can tell "later" from "never".
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import cast

from jupyter_server.auth.decorator import authorized
from jupyter_server.services.kernels.handlers import (
    KernelActionHandler,
    _kernel_action_regex,
    _kernel_id_regex,
)
from jupyter_server.services.sessions.handlers import SessionRootHandler
from tornado import web

from teamhub_notebook.gateway import GatewayError


@contextmanager
def _as_the_gateway_said() -> Iterator[None]:
    try:
        yield
    except web.HTTPError as error:
        if isinstance(error.__cause__, GatewayError):
            raise error.__cause__ from None
        raise


class SessionsHandler(SessionRootHandler):
    """`/api/sessions`."""

    @web.authenticated
    @authorized
    async def post(self) -> None:
        """Return the session of a path, with a new kernel if it has none."""
        with _as_the_gateway_said():
            await cast(Awaitable[None], super().post())


class KernelActions(KernelActionHandler):
    """`/api/kernels/{id}/restart` and `…/interrupt`."""

    @web.authenticated
    @authorized
    async def post(self, kernel_id: str, action: str) -> None:
        """Restart or interrupt a kernel."""
        with _as_the_gateway_said():
            await cast(Awaitable[None], super().post(kernel_id, action))


default_handlers = [
    (r"/api/sessions", SessionsHandler),
    (rf"/api/kernels/{_kernel_id_regex}/{_kernel_action_regex}", KernelActions),
]
