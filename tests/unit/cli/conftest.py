"""The command line in this process, on a deployment that has come up once."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from cli_rig import Answer, Hub
from teamhub.cli import main
from teamhub.config import Config
from teamhub.deployment import Deployment, write_private
from teamhub.supervisor.lock import UpLock

Command = Callable[..., Answer]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs `teamhub` with these arguments."""

    def run(*arguments: str) -> Answer:
        capsys.readouterr()
        # A command may look elsewhere for programs than this process does.
        with patch.dict(os.environ), pytest.raises(SystemExit) as ended:
            main(list(arguments))
        out, err = capsys.readouterr()
        return Answer(int(ended.value.code or 0), out, err)

    return run


@pytest.fixture
def deployment(tmp_path: Path, migrated: Path) -> Deployment:
    """One that was started once and does not run now."""
    deployment = Deployment(Config(data_dir=tmp_path / "data"))
    deployment.prepare()
    shutil.copy(migrated, deployment.data_dir / "teamhub.sqlite")
    return deployment


@pytest.fixture
def on(deployment: Deployment, command: Command) -> Command:
    """Runs a command on that deployment."""

    def run(*arguments: str) -> Answer:
        return command(*arguments, "--data-dir", str(deployment.data_dir))

    return run


@pytest.fixture
def hub(deployment: Deployment) -> Iterator[Hub]:
    """A stand-in for the hub that notes what it is asked, and says what it is told to."""
    standin = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self._answer(self.path, (201, {}))

        def do_DELETE(self) -> None:
            self._answer(f"DELETE {self.path}", (204, None))

        def do_GET(self) -> None:
            path, _, asked = self.path.partition("?")
            if asked.startswith("name_filter="):
                # As the whole list: that one asks for less changes nothing of what is in it.
                nobody = {"items": [], "_pagination": {"next": None}}
                asked = asked.partition("&")[2]
                self._answer(f"GET {path}?{asked}", (200, nobody), changes=False)
                return
            self._answer(f"GET {self.path}", (404, {"message": "Not Found"}), changes=False)

        def _answer(self, key: str, default: tuple[int, Any], *, changes: bool = True) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(length) or b"null")
            if changes:
                standin.asked.append((key, body, self.headers["Authorization"]))
            status, answer = standin.answers.get(key, default)
            self.send_response(status)
            self.end_headers()
            if answer is not None:
                self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    port = server.server_address[1]
    ports = {"proxy_api": 1, "hub": port, "gateway": 1}
    write_private(deployment.run_dir / "ports.json", json.dumps(ports))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield standin
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def running(deployment: Deployment) -> Iterator[None]:
    """As if this process were its supervisor."""
    lock = UpLock(deployment)
    lock.take()
    yield
    lock.release()


@pytest.fixture
def run() -> Callable[..., Any]:
    """Runs a coroutine to its end."""
    return asyncio.run
