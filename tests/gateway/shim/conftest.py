"""A real shim process with a real kernel, and a link to it as a gateway would have one."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import zmq
from jupyter_client.session import Session
from teamhub_shim import protocol
from teamhub_shim.protocol import Exit, Spec, State

DEADLINE_SECONDS = 40

IPYKERNEL = (
    sys.executable,
    "-Xfrozen_modules=off",
    "-m",
    "ipykernel_launcher",
    "-f",
    "{connection_file}",
)


@dataclass(frozen=True)
class Message:
    """A Jupyter message as it came over a link."""

    number: int
    session: str
    channel: str
    header: dict[str, Any]
    parent: dict[str, Any]
    content: dict[str, Any]
    buffers: list[bytes]

    @property
    def type(self) -> str:
        return str(self.header["msg_type"])


class Link:
    """A gateway's end of a link."""

    def __init__(
        self, keys: tuple[bytes, bytes], server_key: bytes, port: int, queue_messages: int = 0
    ) -> None:
        # A context of its own: closing it is how a gateway's death looks from the other side.
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.rcvhwm = queue_messages
        self.socket.curve_publickey, self.socket.curve_secretkey = keys
        self.socket.curve_serverkey = server_key
        self.socket.connect(f"tcp://127.0.0.1:{port}")
        self.session = Session(key=b"")
        self.states: list[State] = []
        self.messages: list[Message] = []
        self.answers: dict[tuple[str, str], list[Message]] = {}
        self.detached: list[str] = []
        self.returns: dict[bytes, dict[str, Any]] = {}
        self.pongs: list[bytes] = []
        self._calls = 0

    def hello(self) -> State:
        self.socket.send_multipart([protocol.HELLO, b"{}"])
        self.until(lambda: bool(self.states))
        return self.states[-1]

    def ping(self, payload: bytes) -> None:
        self.socket.send_multipart([protocol.PING, payload])

    def ack(self, number: int, session: str = "") -> None:
        self.socket.send_multipart([protocol.ACK, number.to_bytes(8, "big"), session.encode()])

    def request(self, method: str, **arguments: Any) -> bytes:
        self._calls += 1
        call_id = b"%d" % self._calls
        body = json.dumps(arguments).encode()
        self.socket.send_multipart([protocol.CALL, call_id, method.encode(), body])
        return call_id

    def call(self, method: str, **arguments: Any) -> dict[str, Any]:
        call_id = self.request(method, **arguments)
        self.until(lambda: call_id in self.returns)
        return self.returns[call_id]

    def attach(self, session: str) -> dict[str, Any]:
        result: dict[str, Any] = self.call("attach", session=session)["result"]
        return result

    def send(
        self,
        channel: str,
        msg_type: str,
        content: dict[str, Any],
        *,
        parent: dict[str, Any] | None = None,
        buffers: Sequence[bytes] = (),
        msg_id: str | None = None,
    ) -> str:
        message = self.session.msg(msg_type, content)
        header = {**message["header"], "date": message["header"]["date"].isoformat()}
        if msg_id is not None:
            header["msg_id"] = msg_id
        parts = [json.dumps(part).encode() for part in (header, parent or {}, {}, content)]
        self.socket.send_multipart(
            [protocol.SEND, channel.encode(), header["msg_id"].encode(), *parts, *buffers]
        )
        return str(header["msg_id"])

    def execute(self, code: str, allow_stdin: bool = False) -> str:
        content = {"code": code, "silent": False, "store_history": True}
        return self.send("shell", "execute_request", {**content, "allow_stdin": allow_stdin})

    def until(self, condition: Callable[[], bool], seconds: float = DEADLINE_SECONDS) -> None:
        """Receive until the condition holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            left = deadline - time.monotonic()
            assert left > 0, f"not in time; {self.messages[-5:]} {self.states[-3:]}"
            if self.socket.poll(max(1, int(left * 1000))):
                self._take(self.socket.recv_multipart())

    def _take(self, frames: list[bytes]) -> None:
        kind, *rest = frames
        if kind == protocol.MESSAGE:
            number, session, channel, header, parent, _, content, *buffers = rest
            message = Message(
                int.from_bytes(number, "big"),
                session.decode(),
                channel.decode(),
                json.loads(header),
                json.loads(parent),
                json.loads(content),
                buffers,
            )
            self.messages.append(message)
            key = (message.parent.get("msg_id", ""), message.type)
            self.answers.setdefault(key, []).append(message)
        elif kind == protocol.STATE:
            self.states.append(State.from_json(rest[0]))
        elif kind == protocol.RETURN:
            self.returns[rest[0]] = json.loads(rest[1])
        elif kind == protocol.DETACHED:
            self.detached.append(rest[0].decode())
        elif kind == protocol.PONG:
            self.pongs.append(rest[0])
        else:
            raise AssertionError(f"unknown kind {kind!r}")

    def of(self, msg_id: str, msg_type: str) -> list[Message]:
        """Return what answers a message (or, with "", nothing), of one type."""
        return self.answers.get((msg_id, msg_type), [])

    def reply(self, msg_id: str, msg_type: str = "execute_reply") -> Message:
        """Wait for the reply and the idle status that ends a request."""

        def complete() -> bool:
            statuses = [m.content["execution_state"] for m in self.of(msg_id, "status")]
            return bool(self.of(msg_id, msg_type)) and "idle" in statuses

        self.until(complete)
        return self.of(msg_id, msg_type)[0]

    def stdout(self, msg_id: str) -> str:
        return "".join(m.content["text"] for m in self.of(msg_id, "stream"))

    def close(self) -> None:
        self.context.destroy(linger=0)


@dataclass
class Shim:
    """A shim's process."""

    process: subprocess.Popen[bytes]
    directory: Path
    wake: socket.socket
    server_key: bytes
    gateway_keys: tuple[bytes, bytes]
    links: list[Link] = field(default_factory=list)

    @property
    def address(self) -> dict[str, Any]:
        return dict(json.loads((self.directory / "address.json").read_text()))

    @property
    def runtime_dir(self) -> Path:
        return self.directory / "run"

    def wait_for(self, ready: bool) -> dict[str, Any]:
        """Wait for the announcement."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            if (self.directory / "address.json").exists():
                address = self.address
                if address["ready"] or not ready:
                    return address
            left = deadline - time.monotonic()
            assert left > 0, self.log()
            assert self.process.poll() is None, self.log()
            if select.select([self.wake], [], [], min(left, 1))[0]:
                assert self.wake.recv(100) == b"kernel-1"

    def link(
        self,
        keys: tuple[bytes, bytes] | None = None,
        ready: bool = True,
        queue_messages: int = 0,
    ) -> Link:
        port = self.wait_for(ready)["port"]
        link = Link(keys or self.gateway_keys, self.server_key, port, queue_messages)
        self.links.append(link)
        return link

    def ready_link(self, session: str = "s1") -> Link:
        link = self.link()
        link.hello()
        link.attach(session)
        return link

    def log(self) -> str:
        return (self.directory / "log").read_text(errors="replace")

    def wait(self) -> tuple[int, Exit]:
        """Wait for the end; return the exit code and what the last line says."""
        code = self.process.wait(DEADLINE_SECONDS)
        lines = self.log().splitlines()
        assert lines[-1].startswith(protocol.EXIT_MARKER), lines
        found = Exit.find(self.log())
        assert found is not None
        return code, found


StartShim = Callable[..., Shim]


@pytest.fixture
def start_shim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartShim]:
    """Return a function that starts a shim; everything ends with the test."""
    shims: list[Shim] = []

    def start(
        argv: Sequence[str] = IPYKERNEL, env: dict[str, str] | None = None, **options: Any
    ) -> Shim:
        directory = tmp_path_factory.mktemp("shim")
        server_public, server_secret = zmq.curve_keypair()
        gateway_keys = zmq.curve_keypair()
        spec = Spec(
            kernel_id="kernel-1",
            argv=argv,
            gateway_key=gateway_keys[0].decode(),
            env={"IPYTHONDIR": str(directory / "ipython"), **(env or {})},
            **{"working_dir": str(directory), **options},
        )
        wake = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        wake.bind(str(directory / "wake"))
        with (directory / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "teamhub_shim"],
                env={
                    **os.environ,
                    protocol.SPEC_VARIABLE: spec.to_json(),
                    protocol.SECRET_KEY_VARIABLE: server_secret.decode(),
                    protocol.ADDRESS_FILE_VARIABLE: str(directory / "address.json"),
                    protocol.WAKE_SOCKET_VARIABLE: str(directory / "wake"),
                    protocol.RUNTIME_DIR_VARIABLE: str(directory / "run"),
                },
                stderr=log,
                stdout=log,
                start_new_session=True,
            )
        shim = Shim(process, directory, wake, server_public, gateway_keys)
        shims.append(shim)
        return shim

    yield start
    for shim in shims:
        for link in shim.links:
            link.close()
        shim.wake.close()
        if shim.process.poll() is None:
            shim.process.kill()
        shim.process.wait()
