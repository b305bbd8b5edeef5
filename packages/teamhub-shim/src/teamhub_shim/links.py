"""The side towards the gateways: one encrypted ROUTER socket, and what travels on it."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import zmq
from zmq.utils import z85

from teamhub_shim import protocol
from teamhub_shim.journal import Delivery, Feed, Journal, Session, Sessions
from teamhub_shim.loop import Loop, Timer, send_frames
from teamhub_shim.output import log
from teamhub_shim.protocol import CHANNELS

SEND_QUEUE_MESSAGES = 1000
LARGE_BYTES = 64 * 1024
LARGE_QUEUE_BYTES = 64 * 1024**2
"""What may be on its way to one link beside the journal: this many messages, and of those that
are larger than LARGE_BYTES this many bytes (or one message). What is beyond waits in the journal.
"""
BATCH_MESSAGES = 200

_TOLD = frozenset({"attach", "interrupt", "restart"})
"""What is told in the log when it is asked for."""

_RETRY_SECONDS = 0.002
_LINGER_MS = 2000
_GATEWAY_THREAD = 2
_MANIFEST_FRAMES = 8
_ZAP_ADDRESS = "inproc://zeromq.zap.01"
_ZAP_CURVE_FRAMES = 7

Answer = Callable[[Mapping[str, Any] | str], None]
"""Answers a call: with a result, or with a line that says what went wrong."""


class Calls(Protocol):
    """What gateways may ask of the kernel."""

    def send(self, channel: str, msg_id: bytes, parts: Sequence[bytes]) -> None: ...

    def sync(self, answer: Answer) -> None: ...

    def interrupt(self, answer: Answer) -> None: ...

    def restart(self, answer: Answer) -> None: ...


class Doorkeeper:
    """Answers libzmq's question (ZAP) whether a peer's Curve key is welcome.

    Must exist before the socket that it guards is bound: without one everybody is let in.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], key: bytes) -> None:
        self._key = z85.decode(key)
        self.socket: zmq.Socket[bytes] = context.socket(zmq.REP)
        self.socket.linger = 0
        self.socket.bind(_ZAP_ADDRESS)

    def answer(self) -> None:
        """Answer one question. Anything but the one key by Curve is refused."""
        try:
            frames = self.socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return
        request_id = frames[1] if len(frames) > 1 else b""
        welcome = (
            len(frames) == _ZAP_CURVE_FRAMES
            and frames[0] == b"1.0"
            and frames[5] == b"CURVE"
            and frames[6] == self._key
        )
        verdict = (b"200", b"OK", b"gateway") if welcome else (b"400", b"unknown key", b"")
        self.socket.send_multipart([b"1.0", request_id, *verdict, b""])


class Link:
    """One gateway's connection: what it still has to be sent."""

    def __init__(self, identity: bytes, feed: Feed) -> None:
        self.identity = identity
        self.feed = feed
        self.outbox: deque[list[bytes]] = deque()
        self.state_due = True
        self.retry: Timer | None = None
        self._large: deque[tuple[zmq.MessageTracker, int]] = deque()
        self._large_bytes = 0

    @property
    def full(self) -> bool:
        """True while so many large messages are on their way that more must wait."""
        while self._large and self._large[0][0].done:
            self._large_bytes -= self._large.popleft()[1]
        return self._large_bytes > LARGE_QUEUE_BYTES

    def track(self, tracker: zmq.MessageTracker, size_bytes: int) -> None:
        """Count a large message until libzmq has let go of it."""
        self._large.append((tracker, size_bytes))
        self._large_bytes += size_bytes


class Links:
    """Every gateway's connection to this shim.

    Args:
        context: where the sockets live.
        loop: calls us when there is something to read.
        gateway_key: the Z85 public key that alone is let in.
        secret_key: our own, Z85.
        journal: what the kernel has sent.
        calls: where the gateways' wishes go.
        kernel_id: for log lines.
        state: gives the JSON of the present State.

    Raises:
        ValueError, zmq.ZMQError: a key is not one.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        loop: Loop,
        *,
        gateway_key: bytes,
        secret_key: bytes,
        journal: Journal,
        calls: Calls,
        state: Callable[[], bytes],
        kernel_id: str = "",
    ) -> None:
        self._loop = loop
        self._journal = journal
        self._calls = calls
        self._kernel_id = kernel_id
        self._state = state
        self._sessions = Sessions()
        self._links: dict[bytes, Link] = {}
        self._doorkeeper = Doorkeeper(context, gateway_key)
        loop.add(self._doorkeeper.socket, self._doorkeeper.answer)
        self._socket: zmq.Socket[bytes] = context.socket(zmq.ROUTER)
        self._socket.curve_server = True
        self._socket.curve_secretkey = secret_key
        self._socket.setsockopt(zmq.ZAP_DOMAIN, b"teamhub")
        self._socket.setsockopt(zmq.AFFINITY, _GATEWAY_THREAD)
        # A link that is dead or full must be noticed: what cannot go out stays in the journal.
        self._socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self._socket.setsockopt(zmq.ROUTER_HANDOVER, 1)
        self._socket.sndhwm = SEND_QUEUE_MESSAGES
        self._socket.linger = _LINGER_MS
        self._socket.setsockopt(zmq.HEARTBEAT_IVL, 5_000)
        self._socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 15_000)
        self._socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
        self._socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, 30)
        self._socket.setsockopt(zmq.TCP_KEEPALIVE_INTVL, 10)
        self._socket.setsockopt(zmq.TCP_KEEPALIVE_CNT, 3)

    def bind(self, host: str, port: int) -> int:
        """Listen, and return the port. Raises zmq.ZMQError."""
        self._socket.setsockopt(zmq.IPV6, ":" in host)
        shown = f"[{host}]" if ":" in host else host
        self._socket.bind(f"tcp://{shown}:{port or '*'}")
        endpoint: bytes = self._socket.getsockopt(zmq.LAST_ENDPOINT)  # type: ignore[assignment]
        self._loop.add(self._socket, self._read)
        return int(endpoint.rstrip(b"\0").rsplit(b":", 1)[1])

    def publish(self) -> None:
        """Send what is new in the journal to whom it concerns."""
        for link in list(self._links.values()):
            if link.feed.wanted:
                self._pump(link)

    def publish_state(self) -> None:
        """Send the present State to every link."""
        for link in list(self._links.values()):
            link.state_due = True
            self._pump(link)

    @property
    def lagging(self) -> bool:
        """True while a link is too full to be sent all that is there for it."""
        return any(link.retry is not None and link.retry.pending for link in self._links.values())

    def close(self) -> None:
        """Stop listening; what is on its way gets a moment to arrive."""
        for link in self._links.values():
            if link.retry is not None:
                link.retry.cancel()
        for socket in (self._socket, self._doorkeeper.socket):
            self._loop.drop(socket)
            socket.close()

    def _read(self) -> None:
        receive = self._socket.recv_multipart
        for _ in range(BATCH_MESSAGES):
            try:
                frames = receive(zmq.NOBLOCK)
            except zmq.Again:
                return
            try:
                self._handle(frames)
            except (ValueError, TypeError, IndexError, KeyError) as error:
                text = f"a message from a gateway was not understood and is dropped: {error!r}"
                log(text, "warning")

    def _handle(self, frames: list[bytes]) -> None:
        identity, kind = frames[0], frames[1]
        if kind == protocol.SEND:
            channel = frames[2].decode()
            if channel not in CHANNELS or channel == "iopub" or len(frames) < _MANIFEST_FRAMES:
                raise ValueError(f"send of {len(frames)} frames to {channel!r}")
            self._calls.send(channel, frames[3], frames[4:])
            return
        link = self._links.get(identity)
        if kind == protocol.HELLO:
            if link is not None:
                self._lost(link)  # the same routing id on a new connection
            link = self._links[identity] = Link(identity, Feed(self._journal))
            self._pump(link)
        elif kind == protocol.CALL:
            self._call(identity, link, frames[2], frames[3].decode(), json.loads(frames[4]))
        elif link is None:
            return  # it has to say hello first, and learns so by our silence
        elif kind == protocol.PING:
            self._post(link, [protocol.PONG, frames[2]])
        elif kind == protocol.ACK:
            self._acknowledge(link, int.from_bytes(frames[2], "big"), frames[3])
        else:
            raise ValueError(f"unknown kind {kind[:20]!r}")

    def _call(
        self,
        identity: bytes,
        link: Link | None,
        call_id: bytes,
        method: str,
        arguments: Mapping[str, Any],
    ) -> None:
        if link is None:
            stranger = Link(identity, Feed(self._journal))
            stranger.state_due = False
            self._post(stranger, _returned(call_id, "this link has not said hello"))
            return

        def answer(result: Mapping[str, Any] | str) -> None:
            if self._links.get(identity) is link:
                self._post(link, _returned(call_id, result))

        if method in _TOLD:
            log(f"{method} of kernel {self._kernel_id}", request_id=_request_of(arguments))
        if method == "sync":
            self._calls.sync(answer)
        elif method == "attach":
            self._attach(link, str(arguments["session"]).encode(), call_id)
        elif method == "detach":
            session = self._sessions.find(str(arguments["session"]).encode())
            if session is not None and session.feed is link.feed:
                self._detach(session)
            answer({})
        elif method == "interrupt":
            self._calls.interrupt(answer)
        elif method == "restart":
            self._calls.restart(answer)
        else:
            answer(f"there is no method {method!r}")

    def _attach(self, link: Link, name: bytes, call_id: bytes) -> None:
        session = self._sessions.find(name)
        resumed = session is not None
        if session is None:
            session = self._sessions.add(name, self._journal.last)
        elif session.feed is not None:
            before = session.feed
            self._detach(session)
            for other in list(self._links.values()):
                if other.feed is before and other is not link:
                    self._post(other, [protocol.DETACHED, name])

        def arrived(resumed: bool, replayed: int, missed: int) -> None:
            # Not answer(): this is called while the link is being pumped.
            result = {"resumed": resumed, "replayed": replayed, "missed": missed}
            link.outbox.append(_returned(call_id, result))

        link.feed.attach(session, resumed, arrived)
        self._pump(link)

    def _detach(self, session: Session) -> None:
        if session.feed is not None:
            session.feed.detach(session)
            self._sessions.settle(session)

    def _acknowledge(self, link: Link, number: int, name: bytes) -> None:
        for session in link.feed.sessions:
            if not name or session.name == name:
                link.feed.acknowledge(session, number)

    def _post(self, link: Link, frames: list[bytes]) -> None:
        link.outbox.append(frames)
        self._pump(link)

    def _pump(self, link: Link) -> None:
        """Send a link all that it takes now."""
        if link.retry is not None and link.retry.pending:
            return
        try:
            while self._send_one(link):
                pass
        except zmq.Again:
            self._retry(link)
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            self._lost(link)

    def _send_one(self, link: Link) -> bool:
        """Send the next thing; False where there is none. Raises zmq.Again if the link is full."""
        if link.outbox:
            send_frames(self._socket, [link.identity, *link.outbox[0]])
            link.outbox.popleft()
            return True
        if link.state_due:
            state = [link.identity, protocol.STATE, self._state()]
            send_frames(self._socket, state)
            link.state_due = False
            return True
        if link.full:
            raise zmq.Again
        delivery = link.feed.next()
        if link.outbox:
            return True  # a session has just arrived: its answer comes before what follows
        if delivery is None:
            return False
        frames = _frames(link.identity, delivery)
        if sum(map(len, delivery.entry)) < LARGE_BYTES:
            send_frames(self._socket, frames)
        else:
            self._send_large(link, frames)
        link.feed.handed(delivery)
        return True

    def _send_large(self, link: Link, frames: list[bytes]) -> None:
        """Send without copying, and count what libzmq then holds on to."""
        last = len(frames) - 1
        for index, frame in enumerate(frames):
            flags = zmq.NOBLOCK | (zmq.SNDMORE if index < last else 0)
            # Only the first, the identity, can fail: a message is never sent in part.
            if len(frame) < LARGE_BYTES:
                self._socket.send(frame, flags)
                continue
            tracker = self._socket.send(frame, flags, copy=False, track=True)
            link.track(tracker, len(frame))

    def _retry(self, link: Link) -> None:
        def again() -> None:
            if self._links.get(link.identity) is link:
                self._pump(link)

        link.retry = self._loop.later(_RETRY_SECONDS, again)

    def _lost(self, link: Link) -> None:
        """A link is dead: its sessions stay where they are until somebody attaches them again."""
        if self._links.get(link.identity) is link:
            del self._links[link.identity]
        for session in link.feed.sessions:
            self._detach(session)


def _request_of(arguments: Mapping[str, Any]) -> str:
    """For a log line: which request it was; '' where the gateway does not say so."""
    request_id = str(arguments.get("request_id") or "")[: protocol.REQUEST_ID_CHARACTERS]
    return request_id if request_id.isascii() and request_id.isprintable() else ""


def _returned(call_id: bytes, result: Mapping[str, Any] | str) -> list[bytes]:
    body = {"error": result} if isinstance(result, str) else {"result": result}
    return [protocol.RETURN, call_id, json.dumps(body).encode()]


def _frames(identity: bytes, delivery: Delivery) -> list[bytes]:
    return [
        identity,
        protocol.MESSAGE,
        delivery.number.to_bytes(8, "big"),
        delivery.session,
        *delivery.entry,
    ]
