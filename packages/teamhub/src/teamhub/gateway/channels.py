"""One client's websocket: its format on one side, a kernel on the other, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import struct
import uuid
from collections.abc import Callable

from aiohttp import WSCloseCode, WSMsgType, web

from teamhub.errors import RefusedError, StoreError, TeamhubError
from teamhub.gateway import wire
from teamhub.gateway.access import Access, UnknownTokenError
from teamhub.gateway.kernel import Kernel

log = logging.getLogger("teamhub.gateway.channels")

OUTGOING_BYTES = 128 * 1024**2
"""How much may wait for a client that reads slowly, or not at all: twice what a shim keeps, so
that all that a session gets on its return has room. What is beyond stays in the shim's journal."""
MESSAGE_OVERHEAD_BYTES = 512
FAREWELL_SECONDS = 10.0
FOLLOW_SECONDS = 0.1
"""How often a client is asked how far it has got. So much it may get twice when it returns."""

_DIGITS = 19  # of a number that the shim takes
_REASON_BYTES = 120  # a close frame has room for 123


_NOT_WRITABLE = (
    ValueError,
    TypeError,
    AttributeError,
    KeyError,
    IndexError,
    RecursionError,
    struct.error,
)


class Channels:
    """A websocket and what is still to be written to it.

    That something was written says little: it may be on its way, in a proxy that is about to be
    killed. Stock clients acknowledge nothing, but they answer pings. So each ping carries the
    number of the last message before it, and its pong says that the client has got so far.

    Args:
        websocket: prepared, without `autoping`.
        session: the client's session id; empty: one of our own.
        v1: whether the binary protocol was agreed upon.
        abort: drops the connection at once, where its other end takes nothing any more.
        outgoing_bytes: how much may wait to be written.
        farewell_seconds: how long a client that is sent away may take to read why.
    """

    def __init__(
        self,
        websocket: web.WebSocketResponse,
        session: str,
        *,
        v1: bool,
        abort: Callable[[], None] = lambda: None,
        outgoing_bytes: int = OUTGOING_BYTES,
        farewell_seconds: float = FAREWELL_SECONDS,
    ) -> None:
        self.session = session or str(uuid.uuid4())
        self._websocket = websocket
        self._v1 = v1
        self.written = 0
        self._news = asyncio.Event()
        self._outgoing: asyncio.Queue[tuple[str, wire.Parts, int] | None] = asyncio.Queue()
        self._outgoing_bytes = 0
        self._maximum_bytes = outgoing_bytes
        self._end_reason = ""
        self._end_code = WSCloseCode.OK
        self._abort = abort
        self._farewell_seconds = farewell_seconds
        self._aborting: asyncio.TimerHandle | None = None

    def deliver(self, channel: str, parts: wire.Parts, number: int = 0) -> None:
        """Send a message, after those before it.

        Where too much waits already, the client is sent away: it loses nothing that its kernel's
        shim still has, and finds it there when it is back.
        """
        if self._aborting is not None:
            return
        size = _size(parts)
        if self._outgoing_bytes and self._outgoing_bytes + size > self._maximum_bytes:
            self._send_away()
            return
        self._outgoing_bytes += size
        self._outgoing.put_nowait((channel, parts, number))

    def _send_away(self) -> None:
        log.warning("a client does not read, or too slowly; its connection is closed")
        while not self._outgoing.empty():
            self._outgoing.get_nowait()
        self._end_code = WSCloseCode.TRY_AGAIN_LATER
        self.end("too much waits for you; connect again and go on")
        loop = asyncio.get_running_loop()
        self._aborting = loop.call_later(self._farewell_seconds, self._abort)

    def end(self, reason: str) -> None:
        """Close the websocket once everything before is written."""
        self._end_reason = reason
        self._outgoing.put_nowait(None)

    async def serve(
        self, kernel: Kernel, access: Access, token: str, recheck_seconds: float
    ) -> None:
        """Pass messages on until either side closes.

        Args:
            kernel: the caller's own.
            access: asked again, every `recheck_seconds`, whether the token still is good.
        """
        writer = asyncio.create_task(self._write())
        follower = asyncio.create_task(self._follow())
        checker = asyncio.create_task(self._recheck(access, token, recheck_seconds))
        try:
            try:
                await kernel.connect(self)
            except (RefusedError, TimeoutError):
                await self._close(WSCloseCode.TRY_AGAIN_LATER, "the kernel cannot be reached now")
                return
            await self._read(kernel)
        finally:
            checker.cancel()
            writer.cancel()
            follower.cancel()
            if self._aborting is not None:
                self._aborting.cancel()
            await kernel.disconnect(self)

    async def _read(self, kernel: Kernel) -> None:
        async for received in self._websocket:
            if received.type is WSMsgType.PONG:
                if received.data.isdigit():
                    kernel.arrived(self, min(int(received.data[:_DIGITS]), self.written))
                continue
            if received.type is WSMsgType.PING:
                with contextlib.suppress(ConnectionError, RuntimeError):
                    await self._websocket.pong(received.data)
                continue
            if received.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                return
            try:
                message = wire.from_client(received.data, v1=self._v1)
                await kernel.receive(self, message)
            except wire.WireError as error:
                await self._close(WSCloseCode.UNSUPPORTED_DATA, str(error))
            except RefusedError as error:
                await self._close(WSCloseCode.TRY_AGAIN_LATER, str(error))
            except StoreError as error:
                log.error("a message could not be kept: %s", error)
                await self._close(WSCloseCode.INTERNAL_ERROR, "the database is away; reconnect")

    async def _write(self) -> None:
        try:
            while (item := await self._outgoing.get()) is not None:
                channel, parts, number = item
                try:
                    data = wire.to_client(channel, parts, v1=self._v1)
                except _NOT_WRITABLE as error:
                    # A kernel may send anything; what follows it is still good.
                    log.warning("a message of a kernel cannot be written as one: %s", error)
                    self._outgoing_bytes -= _size(parts)
                    continue
                if isinstance(data, bytes):
                    await self._websocket.send_bytes(data)
                else:
                    await self._websocket.send_str(data)
                self._outgoing_bytes -= _size(parts)
                if number:
                    self.written = number
                    self._news.set()
            await self._close(self._end_code, self._end_reason)
        except (ConnectionError, RuntimeError):
            return  # closed by the other side; the reader ends, too

    async def _follow(self) -> None:
        with contextlib.suppress(ConnectionError, RuntimeError):
            while True:
                await self._news.wait()
                self._news.clear()
                await self._websocket.ping(b"%d" % self.written)
                await asyncio.sleep(FOLLOW_SECONDS)

    async def _recheck(self, access: Access, token: str, seconds: float) -> None:
        while True:
            await access.until_doubtful(seconds)
            try:
                await access.caller(token)
            except UnknownTokenError as error:
                await self._close(WSCloseCode.POLICY_VIOLATION, str(error))
                return
            except TeamhubError:
                continue  # the hub is away for longer than its grace: not a reason to cut

    async def _close(self, code: int, reason: str) -> None:
        message = reason.encode()[:_REASON_BYTES].decode(errors="ignore").encode()
        await self._websocket.close(code=code, message=message)


def _size(parts: wire.Parts) -> int:
    return MESSAGE_OVERHEAD_BYTES + sum(map(len, parts))
