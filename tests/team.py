"""A whole team server for tests: the real `teamhub up`, started as a person would.

Tests keep apart by names: every one makes users of its own. What must not be shared (a server
that a test kills) is a `TeamServer` of the test's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import psutil

ROOT = Path(__file__).parent.parent
PASSWORD = "correct horse battery staple"
START_SECONDS = 120
PROCESSES = ("proxy", "hub", "gateway")

_numbers = itertools.count(1)


def new_name(stem: str = "user") -> str:
    """A user name that no other test has."""
    return f"{stem}-{os.getpid() % 10000}-{next(_numbers)}"


def wait_until(what: str, check: Callable[[], Any], seconds: float = 30) -> Any:
    """Return the first true answer; for what sends no event. Fails at the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        found = check()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.05)


class TeamServer:
    """One `teamhub up` on a data directory and a port of its own."""

    def __init__(self, data_dir: Path, settings: str = "") -> None:
        self.data_dir = data_dir
        data_dir.mkdir(parents=True, exist_ok=True)
        if settings:
            (data_dir / "teamhub.toml").write_text(settings)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.gateway_url = f"{self.url}/services/gateway"
        self.process: subprocess.Popen[str] | None = None
        self.first_output: list[str] = []

    @property
    def env(self) -> dict[str, str]:
        """What a shell after `./dev up` has."""
        paths = (ROOT / ".venv/bin", ROOT / ".node/node_modules/.bin", ROOT / ".node/bin")
        return {
            **os.environ,
            "PATH": os.pathsep.join([*map(str, paths), os.environ["PATH"]]),
            "TEAMHUB_KERNEL_PREFIX": os.environ.get(
                "TEAMHUB_KERNEL_PREFIX", str(ROOT / ".kernel-venv")
            ),
        }

    def start(self) -> None:
        """Start and return when sign-in works; what it says goes to `up.log`."""
        log = (self.data_dir.parent / f"{self.data_dir.name}-up.log").open("a+")
        begin = log.seek(0, os.SEEK_END)
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "teamhub.cli",
                "up",
                "--data-dir",
                str(self.data_dir),
                "--port",
                str(self.port),
            ],
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        path = Path(log.name)
        process = self.process

        def ready() -> bool:
            text = path.read_text()[begin:]
            assert process.poll() is None, f"teamhub up ended: {text}"
            return "teamhub is ready: " in text and text.endswith("\n")

        wait_until("teamhub is ready", ready, START_SECONDS)
        self.first_output = path.read_text()[begin:].splitlines()
        log.close()

    def stop(self) -> None:
        """End it as Ctrl-C does, and check that it does. A second call does nothing."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            code = self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        self.process = None
        assert code == 0, f"teamhub up ended with {code}"

    def cli(self, *arguments: str) -> Any:
        """Run a command on this deployment with --json and return what it printed."""
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "teamhub.cli",
                *arguments,
                "--data-dir",
                str(self.data_dir),
                "--json",
            ],
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None

    def add_user(self, name: str | None = None, *, admin: bool = False) -> tuple[str, str]:
        """Add a user; return name and one-time password."""
        name = name or new_name()
        added = self.cli("users", "add", name, *(["--admin"] if admin else []))
        return name, added["one_time_password"]

    def token(self, name: str) -> str:
        """Return a personal token of an existing user."""
        return str(self.cli("tokens", "create", "--user", name)["token"])

    def member(self, name: str | None = None) -> Member:
        """Add a user with a token."""
        name, password = self.add_user(name)
        return Member(self, name, password, self.token(name))

    def pid_of(self, process: str) -> int:
        """Return the process id of `proxy`, `hub` or `gateway`."""
        record = json.loads((self.data_dir / "run/processes.json").read_text())
        return int(record["children"][process]["pid"])

    def kill(self, process: str) -> None:
        """`kill -9` one of `PROCESSES`, and return when it is gone."""
        victim = psutil.Process(self.pid_of(process))
        victim.kill()
        # Reaped by its parent, which is not us: gone or a zombie will do.
        wait_until(
            f"{process} is dead",
            lambda: not victim.is_running() or victim.status() == psutil.STATUS_ZOMBIE,
        )

    def workload_processes(self) -> list[psutil.Process]:
        """Everything that runs as part of a kernel or notebook server of this deployment."""
        found = []
        marker = str(self.data_dir)
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                env = process.environ()
                ours = env.get("TEAMHUB_WORKLOAD") or env.get("TEAMHUB_ADDRESS_FILE")
                if ours and marker in " ".join(env.values()):
                    found.append(process)
        return found


@contextmanager
def serving(data_dir: Path, settings: str = "") -> Iterator[TeamServer]:
    """A team server that is ready, for as long as the context lasts."""
    server = TeamServer(data_dir, settings)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@dataclass
class Member:
    """A user with a personal token, as a script would use it."""

    server: TeamServer
    name: str
    one_time_password: str
    token: str
    kernels: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def http(self) -> AsyncIterator[aiohttp.ClientSession]:
        """A session whose addresses are relative to the gateway: `api/kernels`."""
        async with aiohttp.ClientSession(
            base_url=self.server.gateway_url + "/",
            headers={"Authorization": f"token {self.token}"},
        ) as session:
            yield session

    async def start_kernel(self, **body: Any) -> str:
        """Start a kernel and return its id, at once."""
        async with self.http() as http, http.post("api/kernels", json=body) as response:
            assert response.status == 201, await response.text()
            return str((await response.json())["id"])

    async def kernel(self, kernel_id: str) -> tuple[int, dict[str, Any]]:
        """Return status code and model of a kernel."""
        async with self.http() as http, http.get(f"api/kernels/{kernel_id}") as response:
            return response.status, await response.json()

    @asynccontextmanager
    async def connect(self, kernel_id: str, session: str | None = None) -> AsyncIterator[Cells]:
        """A websocket to a kernel."""
        session = session or uuid.uuid4().hex
        async with (
            self.http() as http,
            http.ws_connect(
                f"api/kernels/{kernel_id}/channels?session_id={session}", max_msg_size=0
            ) as websocket,
        ):
            yield Cells(websocket, session)


@dataclass
class Result:
    """What came of one execution."""

    status: str
    text: str = ""
    error: str = ""
    messages: list[dict[str, Any]] = field(default_factory=list)


class Cells:
    """Runs cells over a websocket, in the default JSON protocol."""

    def __init__(self, websocket: aiohttp.ClientWebSocketResponse, session: str) -> None:
        self.websocket = websocket
        self.session = session
        self._early: list[dict[str, Any]] = []

    async def send(self, msg_type: str, content: dict[str, Any], channel: str = "shell") -> str:
        """Send a request; return its message id."""
        msg_id = uuid.uuid4().hex
        header = {
            "msg_id": msg_id,
            "msg_type": msg_type,
            "session": self.session,
            "username": "",
            "date": "2026-01-01T00:00:00Z",
            "version": "5.4",
        }
        message = {
            "channel": channel,
            "header": header,
            "parent_header": {},
            "metadata": {},
            "content": content,
        }
        await self.websocket.send_str(json.dumps(message))
        return msg_id

    async def receive(self, seconds: float = 60) -> dict[str, Any]:
        """Return the next message. Fails when the websocket closes."""
        message = await self.websocket.receive(seconds)
        assert message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY), message
        data = message.data
        if isinstance(data, bytes):
            first, second = (int.from_bytes(data[at : at + 4], "big") for at in (4, 8))
            count = int.from_bytes(data[:4], "big")
            data = data[first : second if count > 1 else None]
        return dict(json.loads(data))

    async def ask(self, code: str) -> str:
        """Send code without waiting; return the message id for `answer`."""
        content = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": True,
        }
        return await self.send("execute_request", content)

    async def answer(self, msg_id: str, seconds: float = 60) -> Result:
        """Wait until a request has its reply and the kernel is idle again."""
        result = Result("")
        idle = False
        # Between channels there is no order: of the next cell there may be an output already.
        early, self._early = self._early, []
        async with asyncio.timeout(seconds):
            while not (idle and result.status):
                message = early.pop(0) if early else await self.receive(seconds)
                if message["parent_header"].get("msg_id") != msg_id:
                    self._early.append(message)
                    continue
                result.messages.append(message)
                content = message["content"]
                match message["header"]["msg_type"]:
                    case "stream":
                        result.text += content["text"]
                    case "execute_result":
                        result.text += content["data"]["text/plain"]
                    case "error":
                        result.error = "\n".join([content["evalue"], *content["traceback"]])
                    case "status":
                        idle = content["execution_state"] == "idle"
                    case "execute_reply":
                        result.status = content["status"]
        self._early += early
        return result

    async def run(self, code: str, seconds: float = 60) -> Result:
        """Run code and return what came of it."""
        return await self.answer(await self.ask(code), seconds)


def artefact_dir() -> Path:
    """Where pictures and logs of a run are kept."""
    directory = Path(os.environ.get("TEAMHUB_ARTEFACTS") or ROOT / "artefacts")
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def tail_of_logs(server: TeamServer, lines: int = 40) -> Sequence[str]:
    """The last lines of every log of a deployment, for a failed test."""
    found = []
    for path in sorted((server.data_dir / "logs").glob("*.log")):
        found += [f"--- {path.name}", *path.read_text(errors="replace").splitlines()[-lines:]]
    return found
