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
from typing import Any

import psutil
from running import DEADLINE_SECONDS, Running


class Up(Running):
    """One `teamhub up`.

    Args:
        data_dir: its deployment's.
        port: its public port.
    """

    def __init__(self, data_dir: Path, port: int) -> None:
        self.data_dir = data_dir
        self.url = f"http://127.0.0.1:{port}"
        super().__init__(
            (*TEAMHUB, "up", "--port", str(port), "--data-dir", str(data_dir)),
        )


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
        return self._run(*arguments, code=code).stdout

    def refused(self, *arguments: str, code: int) -> str:
        """The same for a command that fails; return what it said on stderr."""
        return self._run(*arguments, code=code).stderr

    def _run(self, *arguments: str, code: int) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            (*TEAMHUB, *arguments, "--data-dir", str(self.data_dir)),
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS,
            check=False,
        )
        assert done.returncode == code, (arguments, done)
        return done

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
