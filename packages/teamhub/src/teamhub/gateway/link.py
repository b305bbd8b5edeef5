"""A link: the gateway's end of the one encrypted connection to a kernel's shim."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import zmq
from teamhub_shim import protocol
from teamhub_shim.protocol import State

from teamhub import request_id
from teamhub.errors import RefusedError

log = logging.getLogger("teamhub.gateway.link")

_HEARTBEAT_MILLISECONDS = 5_000
_HEARTBEAT_TIMEOUT_MILLISECONDS = 20_000
_LINGER_MILLISECONDS = 1_000
_PING_SECONDS = 5.0
_SILENCE_SECONDS = 15.0


@dataclass(frozen=True)
class Keys:
    """The gateway's own CurveZMQ key pair, Z85."""

    public: str
    secret: str


class Link:
    """Sends to and receives from one shim; see teamhub_shim.protocol for what is said.

    Args:
        context: shared by all links of the process.
        endpoint: the shim's, `tcp://host:port`.
        server_key: the shim's public key: nobody else is talked to.
        keys: our own.
        on_message: called with number, session, channel and parts of each kernel message.
        on_state: called with each state report.
        on_detached: called with a session that another link has taken.
    """

    def __init__(
        self,
        context: zmq.Context[Any],
        endpoint: str,
        server_key: str,
        keys: Keys,
        *,
        on_message: Callable[[int, str, str, Sequence[bytes]], None],
        on_state: Callable[[State], None],
        on_detached: Callable[[str], None],
    ) -> None:
        self._on_message = on_message
        self._on_state = on_state
        self._on_detached = on_detached
        self._calls: dict[bytes, asyncio.Future[Any]] = {}
        self._numbers = itertools.count(1)
        self._loop = asyncio.get_running_loop()
        self._greeted = self._loop.create_future()
        self._heard_at = self._loop.time()
        socket = context.socket(zmq.DEALER)
        socket.curve_publickey = keys.public.encode()
        socket.curve_secretkey = keys.secret.encode()
        socket.curve_serverkey = server_key.encode()
        socket.linger = _LINGER_MILLISECONDS
        # Never drop: what is too much is bounded where it is kept, in the shim's journal.
        socket.sndhwm = 0
        socket.rcvhwm = 0
        socket.heartbeat_ivl = _HEARTBEAT_MILLISECONDS
        socket.heartbeat_timeout = _HEARTBEAT_TIMEOUT_MILLISECONDS
        socket.connect(endpoint)
        self._socket = socket
        self._loop.add_reader(socket.getsockopt(zmq.FD), self._receive)
        self._send([protocol.HELLO, b"{}"])

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return bool(self._socket.closed)

    async def greeted(self, timeout_seconds: float) -> None:
        """Return once the shim has answered. Raises TimeoutError."""
        async with asyncio.timeout(timeout_seconds):
            await asyncio.shield(self._greeted)

    async def lost(self) -> None:
        """Return when the shim has not answered for too long, or the link was closed.

        A socket that reconnected by itself is lost, too: the shim answers nobody who has not
        greeted it, and a new link greets.
        """
        while not self.closed and self._loop.time() - self._heard_at < _SILENCE_SECONDS:
            self._send([protocol.PING, b""])
            await asyncio.sleep(_PING_SECONDS)

    def acknowledge(self, number: int, session: str) -> None:
        """Say that everything up to a number has arrived at a session."""
        self._send([protocol.ACK, number.to_bytes(8, "big"), session.encode()])

    def send(self, channel: str, msg_id: str, parts: Sequence[bytes]) -> None:
        """Send a message for the kernel. Returns at once; order is kept."""
        self._send([protocol.SEND, channel.encode(), msg_id.encode(), *parts])

    async def call(self, method: str, timeout_seconds: float = 30, **arguments: Any) -> Any:
        """Ask the shim for something and return its result; it is told for which request.

        Raises:
            RefusedError: the shim says why not.
            TimeoutError: it did not answer.
        """
        call_id = b"%d" % next(self._numbers)
        future = self._loop.create_future()
        self._calls[call_id] = future
        if asking := request_id.current():
            arguments["request_id"] = asking
        try:
            self._send([protocol.CALL, call_id, method.encode(), json.dumps(arguments).encode()])
            async with asyncio.timeout(timeout_seconds):
                return await future
        finally:
            self._calls.pop(call_id, None)

    def close(self) -> None:
        """End the link; calls under way are refused. A second call does nothing."""
        if self._socket.closed:
            return
        self._loop.remove_reader(self._socket.getsockopt(zmq.FD))
        self._socket.close()
        for future in self._calls.values():
            if not future.done():
                future.set_exception(RefusedError("the link to the kernel was closed"))
        if not self._greeted.done():
            self._greeted.cancel()

    def _send(self, frames: Sequence[bytes]) -> None:
        if self._socket.closed:
            return
        self._socket.send_multipart(frames, zmq.NOBLOCK)
        # The descriptor tells of changes only; sending may have used one up.
        self._loop.call_soon(self._receive)

    def _receive(self) -> None:
        while not self._socket.closed:
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            try:
                self._handle(frames)
            except Exception:
                log.exception("a message of a shim could not be handled")

    def _handle(self, frames: list[bytes]) -> None:
        match frames[0]:
            case protocol.MESSAGE:
                number = int.from_bytes(frames[1], "big")
                self._on_message(number, frames[2].decode(), frames[3].decode(), frames[4:])
            case protocol.STATE:
                self._heard_at = self._loop.time()
                if not self._greeted.done():
                    self._greeted.set_result(None)
                self._on_state(State.from_json(frames[1]))
            case protocol.RETURN:
                self._returned(frames[1], json.loads(frames[2]))
            case protocol.PONG:
                self._heard_at = self._loop.time()
            case protocol.DETACHED:
                self._on_detached(frames[1].decode())

    def _returned(self, call_id: bytes, value: dict[str, Any]) -> None:
        future = self._calls.get(call_id)
        if future is None or future.done():
            return
        if "error" in value:
            future.set_exception(RefusedError(str(value["error"])))
        else:
            future.set_result(value.get("result"))
