"""A notebook server with our configuration and no hub, in front of a stand-in gateway."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from jupyter_server.gateway.gateway_client import GatewayClient
from notebook_standin import PREFIX, TOKEN, V1, StandInGateway
from teamhub_notebook.assemble import assemble
from teamhub_notebook.server import NotebookServer

MEMBER_TOKEN = "members-browser"


@dataclass
class Notebook:
    """A running notebook server and a browser's connection to it."""

    app: NotebookServer
    browser: aiohttp.ClientSession

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Ask the server and return the status and the JSON of the answer."""
        async with self.browser.request(method, path, json=body) as response:
            text = await response.text()
            is_json = "json" in response.headers.get("Content-Type", "") and text
            return response.status, await response.json() if is_json else text

    async def open(
        self, kernel_id: str, session_id: str = "page-1", protocol: str | None = V1
    ) -> aiohttp.ClientWebSocketResponse:
        """Open a kernel's websocket as a page would."""
        return await self.browser.ws_connect(
            f"/api/kernels/{kernel_id}/channels?session_id={session_id}",
            protocols=(protocol,) if protocol else (),
            max_msg_size=0,
        )


@pytest.fixture
async def gateway() -> AsyncIterator[StandInGateway]:
    """A stand-in gateway that listens."""
    standin = StandInGateway()
    await standin.up()
    yield standin
    await standin.down()


@pytest.fixture
def environ(gateway: StandInGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the spawner would say; the process itself gets directories of its own."""
    home = tmp_path / "home"
    home.mkdir()
    for name in ("CONFIG", "DATA", "RUNTIME"):
        monkeypatch.setenv(f"JUPYTER_{name}_DIR", str(tmp_path / name.lower()))
    monkeypatch.setenv("HOME", str(home))
    # What stock jupyter_server would send to the gateway.
    monkeypatch.setenv("KERNEL_USERNAME", "somebody-else")
    return {
        "HOME": str(home),
        "TEAMHUB_GATEWAY_URL": f"http://127.0.0.1:{gateway.port}{PREFIX}",
        "JUPYTERHUB_API_TOKEN": TOKEN,
    }


@pytest.fixture
async def start(environ: dict[str, str]) -> AsyncIterator[Any]:
    """A function that starts a notebook server in this process; all are stopped at the end."""
    running: list[Notebook] = []
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    async def stop(notebook: Notebook) -> None:
        running.remove(notebook)
        await notebook.browser.close()
        await notebook.app._cleanup()
        GatewayClient.clear_instance()

    async def start_one() -> Notebook:
        config = assemble(environ)
        config.IdentityProvider.token = MEMBER_TOKEN
        # JupyterLab is not what these tests are about; the process tests load it.
        app = NotebookServer(assembled=config, needed={})
        app.initialize(argv=[], find_extensions=False)
        await app._post_start()
        await app._adopting
        browser = aiohttp.ClientSession(
            f"http://127.0.0.1:{app.port}", headers={"Authorization": f"token {MEMBER_TOKEN}"}
        )
        notebook = Notebook(app, browser)
        running.append(notebook)
        return notebook

    start_one.stop = stop  # type: ignore[attr-defined]
    yield start_one
    for notebook in tuple(running):
        await stop(notebook)
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
async def notebook(start: Any) -> Notebook:
    """One running notebook server."""
    return await start()
