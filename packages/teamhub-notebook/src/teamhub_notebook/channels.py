"""A kernel's websocket: the browser on one leg, the gateway on the other.

Messages pass through as they are, text as text and bytes as bytes, so binary buffers stay
untouched in both of Jupyter's protocols. Both legs speak the one that the browser chose.

What the browser sends is kept until the gateway has answered a ping that was sent after it, and
is sent once more on a new connection; the kernel's shim leaves out what it has had, by message
id. So a gateway may be killed at any moment without a cell being lost or run twice. What the
kernel sent in between comes back from the gateway, which knows the session id.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
from collections.abc import Awaitable
from datetime import UTC, datetime
from time import monotonic
from typing import Any, ClassVar
from urllib.parse import quote
from weakref import WeakSet

from jupyter_client.jsonutil import json_default
from jupyter_server.gateway.connections import GatewayWebSocketConnection
from jupyter_server.gateway.gateway_client import GatewayClient
from jupyter_server.services.kernels.connection.base import serialize_msg_to_ws_v1
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import WebSocketClientConnection, WebSocketClosedError, websocket_connect
from traitlets import Unicode

from teamhub_notebook.assemble import UNLIMITED_BYTES
from teamhub_notebook.gateway import REQUEST_ID, connection_arguments, said
from teamhub_notebook.outbox import Outbox

KEPT_BYTES = 64 * 1024**2
"""How much may wait for a gateway that is away."""

UNFLUSHED_BYTES = 64 * 1024**2
"""How much may wait for a slow browser before the gateway is read no further."""

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0
LASTING_SECONDS = 2.0
"""A connection that lasted this long was a good one: the next pause is the first again."""
DIAL_SECONDS = 30.0

TRY_AGAIN_LATER = 1013
GOING_AWAY = 1001
PROTOCOL_ERROR = 1002
REPLACED = 4001


class Channels(GatewayWebSocketConnection):
    """One browser's connection to one kernel, for as long as the browser keeps it open."""

    kernel_ws_protocol = Unicode(
        None,
        allow_none=True,
        config=True,
        help="The protocol to speak: the browser's choice by default, '' for JSON always.",
    )

    _all: ClassVar[WeakSet[Channels]] = WeakSet()

    def __init__(self, **kwargs: Any) -> None:
        """Know both ends, and connect to nothing yet."""
        super().__init__(**kwargs)
        self._outbox = Outbox()
        self._upstream: WebSocketClientConnection | None = None
        self._asked: int | None = None
        self._unflushed_bytes = 0
        self._gone = False
        self._request_id = "-"
        self._relaying: asyncio.Task[None] | None = None

    @classmethod
    async def close_all(cls) -> None:
        """Close every browser's leg because the server ends; kernels are not concerned."""
        for channels in list(cls._all):
            channels.hang_up(GOING_AWAY, "the notebook server is stopping")
            channels.disconnect()

    async def connect(self) -> None:
        """Take up the browser's connection. Returns at once: what it says is kept meanwhile."""
        self.websocket_handler.set_nodelay(True)
        for other in list(self._all):
            if (other.kernel_id, other.session_id) == (self.kernel_id, self.session_id):
                # A page that lost its connection may be back before we have noticed the loss.
                other.hang_up(REPLACED, "a newer connection of this session took over")
                other.disconnect()
        self._all.add(self)
        self._relaying = asyncio.create_task(self._relay())

    def disconnect(self) -> None:  # type: ignore[override]  # the base differs from its users
        """Let go of the gateway: the browser has closed its leg. A second call does nothing."""
        self.disconnected = True
        self._all.discard(self)
        if self._relaying is not None:
            self._relaying.cancel()
        if self._upstream is not None:
            self._upstream.close()

    def hang_up(self, code: int, reason: str) -> None:
        """Close the browser's leg with a reason; it is free to come back."""
        self.websocket_handler.close(code, reason)

    def handle_incoming_message(self, incoming_msg: str | bytes) -> None:
        """Pass a message of the browser on, or keep it until the gateway is there again."""
        if self._gone or self.disconnected:
            return
        self._note_activity()
        self._outbox.add(incoming_msg)
        if self._upstream is not None:
            self._send(self._upstream, incoming_msg)
            self._ask_acknowledgement()
        elif self._outbox.size_bytes > KEPT_BYTES:
            self.log.warning(
                "Kernel %s: the gateway is away and the browser sent more than %d MiB",
                self.kernel_id,
                KEPT_BYTES // 1024**2,
            )
            self.hang_up(TRY_AGAIN_LATER, "the kernel gateway is away and too much is waiting")
            self.disconnect()

    def handle_outgoing_message(self, incoming_msg: str | bytes, *_args: Any) -> None:
        """Pass a message of the gateway on to the browser, if that is still there."""
        self._to_browser(incoming_msg)

    async def _relay(self) -> None:
        pause_seconds = FIRST_PAUSE_SECONDS
        while not self.disconnected:
            began = monotonic()
            try:
                upstream = await self._dial()
                self.log.info(
                    "Kernel %s: connected to the gateway, request_id=%s client_request_id=%s",
                    self.kernel_id,
                    upstream.headers.get(REQUEST_ID, "-") if upstream.headers else "-",
                    self._request_id,
                )
                await self._pump(upstream)
                problem = f"closed by the gateway ({upstream.close_code or 'no code'})"
            except HTTPClientError as error:
                if error.code == 404 and said(error) is not None:
                    self._bury()
                    return
                problem = str(error)
            except (OSError, TimeoutError, WebSocketClosedError) as error:
                problem = str(error) or type(error).__name__
            except Exception:
                self.log.exception("Kernel %s: the link to the gateway failed", self.kernel_id)
                problem = "see above"
            if self.disconnected:
                return
            if monotonic() - began > LASTING_SECONDS:
                pause_seconds = FIRST_PAUSE_SECONDS
            self.log.info(
                "Kernel %s: no link to the gateway: %s, client_request_id=%s",
                self.kernel_id,
                problem,
                self._request_id,
            )
            await asyncio.sleep(pause_seconds * random.uniform(0.5, 1))  # noqa: S311  not a secret
            pause_seconds = min(2 * pause_seconds, LONGEST_PAUSE_SECONDS)

    async def _dial(self) -> WebSocketClientConnection:
        """Return a connection to the gateway that speaks what the browser speaks."""
        client = GatewayClient.instance()
        url = f"{client.ws_url}{client.kernels_endpoint}/{quote(self.kernel_id, safe='')}/channels"
        arguments = connection_arguments()
        self._request_id = arguments["headers"][REQUEST_ID]
        request = HTTPRequest(f"{url}?session_id={quote(self.session_id, safe='')}", **arguments)
        protocol = self.websocket_handler.selected_subprotocol
        dialled = asyncio.ensure_future(
            websocket_connect(
                request,
                max_message_size=UNLIMITED_BYTES,
                subprotocols=[protocol] if protocol else None,
            )
        )
        try:
            async with asyncio.timeout(DIAL_SECONDS):
                upstream = await asyncio.shield(dialled)
        except (asyncio.CancelledError, TimeoutError):
            # The attempt cannot be taken back; its connection can.
            dialled.add_done_callback(_close_late)
            raise
        if (upstream.selected_subprotocol or None) != (protocol or None):
            upstream.close()
            self.hang_up(PROTOCOL_ERROR, "the kernel gateway does not speak the same protocol")
            self.disconnect()
            raise WebSocketClosedError(f"the gateway does not speak {protocol}")
        return upstream

    async def _pump(self, upstream: WebSocketClientConnection) -> None:
        """Send what waits, then pass on what comes, until the gateway closes its leg."""
        self._asked = None
        self._upstream = upstream
        upstream.on_pong = self._acknowledged  # type: ignore[method-assign]
        try:
            _tune(upstream)
            for waiting in self._outbox:
                self._send(upstream, waiting)
            self._ask_acknowledgement()
            while (message := await upstream.read_message()) is not None:
                self._note_activity()
                flushed = self._to_browser(message)
                if self._unflushed_bytes > UNFLUSHED_BYTES and flushed is not None:
                    # The browser is slow: reading no further slows the gateway down, not the
                    # kernel, and keeps our memory small.
                    await flushed
        finally:
            self._upstream = None
            upstream.close()

    def _send(self, upstream: WebSocketClientConnection, message: str | bytes) -> None:
        try:
            written = upstream.write_message(message, binary=isinstance(message, bytes))
        except WebSocketClosedError:
            return  # The reader notices as well, and the message is in the outbox.
        written.add_done_callback(_retrieve)

    def _ask_acknowledgement(self) -> None:
        if self._upstream is not None and self._asked is None and self._outbox:
            self._asked = self._outbox.last_number
            try:
                self._upstream.ping(str(self._asked).encode())
            except WebSocketClosedError:
                self._asked = None

    def _acknowledged(self, data: bytes) -> None:
        if self._asked is not None and data == str(self._asked).encode():
            self._outbox.acknowledge(self._asked)
            self._asked = None
            self._ask_acknowledgement()

    def _to_browser(self, message: str | bytes) -> Awaitable[None] | None:
        try:
            flushed = self.websocket_handler.write_message(
                message, binary=isinstance(message, bytes)
            )
        except WebSocketClosedError:
            return None  # `disconnect` follows.
        self._unflushed_bytes += len(message)

        def account(done: asyncio.Future[None]) -> None:
            self._unflushed_bytes -= len(message)
            _retrieve(done)

        flushed.add_done_callback(account)
        return flushed

    def _bury(self) -> None:
        """Tell the browser that this kernel is no more, in the words of the kernel protocol."""
        self.log.info("Kernel %s: the gateway does not know it (any more)", self.kernel_id)
        self._gone = True
        self._outbox.clear()
        self.multi_kernel_manager.forget(self.kernel_id)
        message = self.session.msg("status", {"execution_state": "dead"})
        if self.websocket_handler.selected_subprotocol:
            self._to_browser(
                serialize_msg_to_ws_v1(  # type: ignore[no-untyped-call]
                    message, "iopub", self.session.pack
                )
            )
        else:
            message |= {"channel": "iopub", "buffers": []}
            self._to_browser(json.dumps(message, default=json_default))

    def _note_activity(self) -> None:
        self.multi_kernel_manager.note_activity(datetime.now(UTC))


def _tune(upstream: WebSocketClientConnection) -> None:
    """Send at once, take messages of any size, and notice a peer that vanished silently.

    The kernel's own probes do that, not websocket pings: those would wait behind a backlog that
    a slow browser has caused, and break a healthy link.
    """
    protocol = upstream.protocol
    if protocol is None or protocol.stream is None or protocol.stream.closed():
        return  # The reader will notice.
    protocol.set_nodelay(True)
    stream = protocol.stream
    stream.max_buffer_size = UNLIMITED_BYTES
    stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        ("TCP_KEEPIDLE", 15),
        ("TCP_KEEPINTVL", 5),
        ("TCP_KEEPCNT", 4),
        ("TCP_USER_TIMEOUT", 60_000),
    ):
        if hasattr(socket, option):
            stream.socket.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def _retrieve(done: asyncio.Future[Any]) -> None:
    """Look at a result, so that asyncio does not report an error nobody waits for."""
    if not done.cancelled():
        done.exception()


def _close_late(done: asyncio.Future[WebSocketClientConnection]) -> None:
    if not done.cancelled() and done.exception() is None:
        done.result().close()
