"""Which HTTP and websocket library carries the gateway: round trips, CPU, memory.

Every contender is a server process of its own on loopback that does the same: `GET /api` gives a
small JSON object, `/channels` echoes binary websocket messages. One client, written on plain
sockets and the same for all, measures them in turns. The contenders are installed into a throw-away
virtual environment, so the project does not depend on them.

    ./dev bench http_frameworks
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import platform
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SERVERS = ROOT / "bench" / "contenders" / "http_servers.py"
REPORT = ROOT / "bench" / "results" / "http-frameworks.md"
REQUIREMENTS = {
    "aiohttp": ["aiohttp==3.14.5"],
    "tornado": ["tornado==6.6.1"],
    "uvicorn": ["uvicorn==0.54.0", "starlette==1.10.0", "httptools==0.9.0", "websockets==17.4"],
    "picows": ["picows==2.3.1"],
}
TITLES = {
    "aiohttp": "aiohttp",
    "tornado": "tornado",
    "uvicorn": "uvicorn + starlette + websockets",
    "picows": "picows (websockets only)",
}
MESSAGE_BYTES = 1536
ANSWER_DEADLINE_SECONDS = 30


def kernel_message() -> bytes:
    """One `stream` message as the v1 websocket protocol frames it, MESSAGE_BYTES long."""
    header = {
        "msg_id": "5b9d2c1e-0f5a4b1c8d7e6f90a1b2c3d4_4711_42",
        "msg_type": "stream",
        "username": "username",
        "session": "5b9d2c1e-0f5a4b1c8d7e6f90a1b2c3d4",
        "date": "2026-11-23T12:00:00.000000Z",
        "version": "5.4",
    }
    parts = [b"iopub", *(json.dumps(part).encode() for part in (header, header, {}))]
    offsets = 8 * (len(parts) + 3)
    room = MESSAGE_BYTES - offsets - sum(map(len, parts))
    empty = len(json.dumps({"name": "stdout", "text": ""}))
    parts.append(json.dumps({"name": "stdout", "text": "x" * (room - empty)}).encode())
    positions = [offsets]
    for part in parts:
        positions.append(positions[-1] + len(part))
    numbers = [len(positions), *positions]
    return b"".join([*(number.to_bytes(8, "little") for number in numbers), *parts])


# What every server answers to GET /api.
API = {"version": "2.21.1", "kernels": [{"id": "5b9d2c1e", "name": "python3", "connections": 1}]}


# The client.


def connect(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=ANSWER_DEADLINE_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def read_head(connection: socket.socket) -> tuple[bytes, bytes]:
    """The head of an HTTP response, and what came of the body with it."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += receive(connection)
    head, _, rest = received.partition(b"\r\n\r\n")
    return head, rest


def receive(connection: socket.socket) -> bytes:
    received = connection.recv(65536)
    assert received, "the server closed the connection"
    return received


def open_channel(port: int) -> socket.socket:
    connection = connect(port)
    key = base64.b64encode(os.urandom(16)).decode()
    connection.sendall(
        f"GET /channels HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
        "Sec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    head, rest = read_head(connection)
    assert b" 101 " in head.splitlines()[0], head
    assert not rest
    return connection


MESSAGE = kernel_message()
# With a mask of zeros the payload is sent as it is; the server unmasks it all the same.
REQUEST_FRAME = b"\x82" + bytes([0x80 | 126]) + len(MESSAGE).to_bytes(2, "big") + bytes(4) + MESSAGE
ANSWER_FRAME = b"\x82" + bytes([126]) + len(MESSAGE).to_bytes(2, "big") + MESSAGE
GET = b"GET /api HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def echo(connection: socket.socket) -> None:
    connection.sendall(REQUEST_FRAME)
    received = receive(connection)
    while len(received) < len(ANSWER_FRAME):
        received += receive(connection)
    assert received == ANSWER_FRAME, "the answer is not the message"


def get(connection: socket.socket) -> None:
    connection.sendall(GET)
    head, body = read_head(connection)
    length = next(
        int(line.split(b":")[1])
        for line in head.lower().splitlines()
        if line.startswith(b"content-length")
    )
    while len(body) < length:
        body += receive(connection)
    assert json.loads(body) == API


@dataclass(frozen=True)
class Contender:
    """A running server of one library."""

    name: str
    process: subprocess.Popen[str]
    port: int

    def ask(self, question: str) -> int:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{question}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


@contextmanager
def running(name: str, python: Path) -> Iterator[Contender]:
    process = subprocess.Popen(
        [python, SERVERS, name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        port = process.stdout.readline()
        if not port:
            raise SystemExit(f"bench: the server of {name} did not start; what it said is above")
        yield Contender(name, process, int(port))
    finally:
        process.kill()
        process.communicate()


@dataclass
class Figures:
    """What was measured of one kind of request: a value of each list belongs to one round."""

    p50_ms: list[float] = field(default_factory=list)
    p95_ms: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)  # of the server, for 1,000 of them

    def measure(self, contender: Contender, exchange: Callable[[], None], count: int) -> None:
        for _ in range(min(50, count)):
            exchange()
        before = contender.ask("cpu")
        times_ms = []
        for _ in range(count):
            began = time.perf_counter_ns()
            exchange()
            times_ms.append((time.perf_counter_ns() - began) / 1e6)
        used = contender.ask("cpu") - before
        cuts = statistics.quantiles(times_ms, n=100)
        self.p50_ms.append(cuts[49])
        self.p95_ms.append(cuts[94])
        self.cpu_seconds.append(used / 1e9 / count * 1000)


@dataclass
class Results:
    websocket: Figures = field(default_factory=Figures)
    http: Figures = field(default_factory=Figures)
    idle_kib: list[float] = field(default_factory=list)  # of a connection, one value a process
    bare_mib: list[float] = field(default_factory=list)


def measure_exchanges(python: Path, results: dict[str, Results], rounds: int, count: int) -> None:
    """Round trips, one contender after the other in every round, each round in another order."""
    with ExitStack() as stack:
        contenders = [stack.enter_context(running(name, python)) for name in results]
        channels = {each.name: stack.enter_context(open_channel(each.port)) for each in contenders}
        plain = {
            each.name: stack.enter_context(connect(each.port))
            for each in contenders
            if each.name != "picows"
        }
        for number in range(rounds):
            turn = number % len(contenders)
            for contender in contenders[turn:] + contenders[:turn]:
                figures = results[contender.name]
                channel = channels[contender.name]
                figures.websocket.measure(contender, partial(echo, channel), count)
                if contender.name in plain:
                    exchange = partial(get, plain[contender.name])
                    figures.http.measure(contender, exchange, count // 2)
            print(f"round {number + 1} of {rounds}", file=sys.stderr)


def measure_memory(python: Path, results: dict[str, Results], connections: int) -> None:
    """Memory of one process of each, with websockets that have carried a message and then rest."""
    for name, figures in results.items():
        with ExitStack() as stack:
            contender = stack.enter_context(running(name, python))

            def rest(
                count: int, stack: ExitStack = stack, contender: Contender = contender
            ) -> float:
                for _ in range(count):
                    echo(stack.enter_context(open_channel(contender.port)))
                return contender.ask("memory")

            # The first connections also pay for what is loaded and allocated only once.
            bare = rest(100)
            figures.bare_mib.append(bare / 2**20)
            figures.idle_kib.append((rest(connections) - bare) / connections / 1024)


def spread(values: list[float], digits: int) -> str:
    """The median, and in brackets the least and the most."""
    middle, least, most = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f} ({least:.{digits}f}-{most:.{digits}f})"


def table(results: dict[str, Results]) -> str:
    rows = [
        "| library | websocket p50, ms | p95, ms | CPU s per 1,000 | GET p50, ms | GET CPU s "
        "per 1,000 | KiB per idle websocket | process, MiB |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, figures in results.items():
        http = ["-", "-"]
        if figures.http.p50_ms:
            http = [spread(figures.http.p50_ms, 3), spread(figures.http.cpu_seconds, 3)]
        cells = [
            TITLES[name],
            spread(figures.websocket.p50_ms, 3),
            spread(figures.websocket.p95_ms, 3),
            spread(figures.websocket.cpu_seconds, 3),
            *http,
            spread(figures.idle_kib, 1),
            spread(figures.bare_mib, 1),
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def report(results: dict[str, Results], options: argparse.Namespace, versions: str) -> str:
    kernel = ".".join(platform.release().split(".")[:2])
    return f"""# HTTP and websocket libraries for the gateway

Written by `./dev bench http_frameworks`. {os.cpu_count()} cores ({platform.machine()}), {platform.system()} {kernel},
{platform.python_implementation()} {platform.python_version()}, asyncio's own event loop for all.
{versions}.

{table(results)}

A cell is the median of the rounds, with the least and the most of them in brackets. A round is
{options.round_trips} echoes of one {MESSAGE_BYTES}-byte kernel message over one websocket, then
{options.round_trips // 2} `GET`s of a small JSON object over one kept-alive connection.
There were {options.rounds} rounds, the libraries in turns within each, in an order that is shifted by one
every round. TCP_NODELAY is on at both ends; compression and pings are off. CPU is the server's
alone, as it counts it itself. Memory is the anonymous resident memory of a fresh process
({options.processes} of each) with 100 websockets open ("process"), and what {options.connections} more add,
each after one echo.

The client is the same for all, blocking sockets with prepared frames, in another process on the
same machine: a round trip includes its share, and both wait for a core when the machine is busy.
An echo is not the gateway. It shows what a library costs before anything is done with a message.
"""  # noqa: E501


def uv() -> str:
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        raise SystemExit("bench: uv is not beside this Python; run this by ./dev bench")
    return found


def install(directory: Path, names: list[str]) -> Path:
    """A throw-away environment with the contenders; returns its interpreter."""
    python = directory / "bin" / "python"
    wanted = [requirement for name in names for requirement in REQUIREMENTS[name]]
    for command in (
        ["venv", "--python", sys.executable, str(directory)],
        ["pip", "install", "--python", str(python), *wanted],
    ):
        done = subprocess.run([uv(), *command], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"bench: uv {command[0]} failed: {done.stderr.strip()}")
    return python


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--round-trips", type=int, default=2000)
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("--only", choices=REQUIREMENTS, action="append")
    parser.add_argument("--output", type=Path, default=REPORT)
    return parser.parse_args()


def allow_open_files(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))


def main() -> None:
    options = parse()
    allow_open_files(options.connections + 1000)  # the servers inherit it
    names = options.only or list(REQUIREMENTS)
    results: dict[str, Results] = {name: Results() for name in names}
    with tempfile.TemporaryDirectory(prefix="teamhub-bench-") as directory:
        python = install(Path(directory) / "venv", names)
        measure_exchanges(python, results, options.rounds, options.round_trips)
        for _ in range(options.processes):
            measure_memory(python, results, options.connections)
    versions = ", ".join(
        requirement.replace("==", " ") for name in names for requirement in REQUIREMENTS[name]
    )
    text = report(results, options, versions)
    options.output.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
