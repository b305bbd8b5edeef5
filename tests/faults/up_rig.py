"""The real `teamhub up`, with everything that it starts, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import psutil

DEADLINE_SECONDS = 150


class Up:
    """One `teamhub up`.

    Args:
        data_dir: its deployment's.
        port: its public port.
    """

    def __init__(self, data_dir: Path, port: int) -> None:
        self.data_dir = data_dir
        self.url = f"http://127.0.0.1:{port}"
        self.out: list[str] = []
        self.err: list[str] = []
        self._seen = threading.Condition()
        self._open = 2
        self.process = subprocess.Popen(
            (*TEAMHUB, "up", "--port", str(port), "--data-dir", str(data_dir)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._readers = [
            threading.Thread(target=self._read, args=pair, daemon=True)
            for pair in ((self.process.stdout, self.out), (self.process.stderr, self.err))
        ]
        for reader in self._readers:
            reader.start()

    def until(self, true: Callable[[], bool]) -> None:
        """Wait until something holds, looked at whenever it has printed a line."""
        with self._seen:
            assert self._seen.wait_for(lambda: true() or self._over, DEADLINE_SECONDS), self.err
        assert true(), (self.out, self.err, self.process.poll())

    def ready(self) -> Up:
        self.until(lambda: f"teamhub is ready: {self.url}" in self.out)
        return self

    def signal(self, number: int) -> Up:
        self.process.send_signal(number)
        return self

    def end(self) -> int:
        """Wait until it has ended and all that it printed is here; return its exit status."""
        code = self.process.wait(DEADLINE_SECONDS)
        for reader in self._readers:
            reader.join(DEADLINE_SECONDS)
        return code

    @property
    def _over(self) -> bool:
        """True once both its streams have ended."""
        return self._open == 0

    def _read(self, stream: IO[str], into: list[str]) -> None:
        for line in stream:
            with self._seen:
                into.append(line.rstrip())
                self._seen.notify_all()
        with self._seen:
            self._open -= 1
            self._seen.notify_all()


TEAMHUB = (sys.executable, "-m", "teamhub.cli")


class Site:
    """A data directory and a port, the commands on it, and what runs of it."""

    def __init__(self, data_dir: Path, port: int) -> None:
        self.data_dir = data_dir
        self.port = port
        self.ups: list[Up] = []

    def up(self) -> Up:
        self.ups.append(Up(self.data_dir, self.port))
        return self.ups[-1]

    def command(self, *arguments: str, code: int = 0) -> str:
        """Run `teamhub`, check its exit status, return what it printed on stdout."""
        done = subprocess.run(
            (*TEAMHUB, *arguments, "--data-dir", str(self.data_dir)),
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS,
            check=False,
        )
        assert done.returncode == code, (arguments, done)
        return done.stdout

    def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self.command(*arguments, "--json", code=code))

    def token(self, user: str) -> str:
        self.command("users", "add", user)
        return str(self.json("tokens", "create", "--user", user)["token"])

    def pid(self, name: str) -> int:
        """The process id of the proxy, the hub or the gateway."""
        found = {p["name"]: p["pid"] for p in self.json("status", code=0)["processes"]}
        assert found[name] is not None
        return int(found[name])

    def processes(self) -> list[psutil.Process]:
        """Everything that runs of it: whatever has its directory in its command or environment."""
        found = []
        ours = {os.getpid(), *(up.process.pid for up in self.ups)}
        for process in psutil.process_iter():
            try:
                texts = [*process.cmdline(), *process.environ().values()]
                if process.pid not in ours and any(str(self.data_dir) in text for text in texts):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def kernels(self) -> list[int]:
        """The process ids of kernels, not of their shims."""
        return [p.pid for p in self.processes() if "ipykernel_launcher" in p.cmdline()]

    def request(self, method: str, path: str, token: str, body: Any = None) -> tuple[int, Any]:
        """Ask through the public address; status 0 where nobody answers."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"token {token}"},
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=20) as response:
                text = response.read()
                return response.status, json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            return error.code, None
        except OSError:
            return 0, None

    def running_kernel(self, token: str) -> str:
        """Start a kernel and wait until it runs; return its id."""
        status, kernel = self.request(
            "POST", "/services/gateway/api/kernels", token, {"name": "python3"}
        )
        assert status == 201
        self.eventually(lambda: self.state_of(kernel["id"], token) == "idle")
        return str(kernel["id"])

    def state_of(self, kernel_id: str, token: str) -> str | None:
        _, kernel = self.request("GET", f"/services/gateway/api/kernels/{kernel_id}", token)
        return kernel["execution_state"] if kernel else None

    def eventually(self, true: Callable[[], bool]) -> None:
        """Ask again and again over a network that cannot tell us, up to a deadline."""
        pause = threading.Event()
        for _ in range(DEADLINE_SECONDS * 5):
            if true():
                return
            pause.wait(0.2)
        raise AssertionError("it did not come true in time")
