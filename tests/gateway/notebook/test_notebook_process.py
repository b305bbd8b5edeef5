"""The whole program as the engine starts it, with stand-ins for hub and gateway."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import jupyterhub
import pytest
import teamhub_notebook
from aiohttp import web
from notebook_standin import PREFIX, TOKEN, V1, StandInGateway

DEADLINE_SECONDS = 60
BASE = "/user/alice"
MEMBER_TOKEN = "members-browser"


@pytest.fixture
async def hub_url() -> AsyncIterator[str]:
    """A stand-in hub that knows one member by one token. Sign-in pages are the e2e tests'."""

    async def version(_request: web.Request) -> web.Response:
        return web.json_response(
            {"version": jupyterhub.__version__},
            headers={"X-JupyterHub-Version": jupyterhub.__version__},
        )

    async def user(request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"token {MEMBER_TOKEN}":
            return web.json_response({"status": 403, "message": "unknown token"}, status=403)
        scopes = ["access:servers!server=alice/"]
        return web.json_response({"name": "alice", "kind": "user", "scopes": scopes})

    async def activity(_request: web.Request) -> web.Response:
        return web.Response(status=200)

    app = web.Application()
    app.router.add_get("/hub/api/", version)
    app.router.add_get("/hub/api", version)
    app.router.add_get("/hub/api/user", user)
    app.router.add_post("/hub/api/users/alice/activity", activity)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/hub/api"
    await runner.cleanup()


@dataclass
class Program:
    """The running program, its announced port and a member's browser."""

    process: asyncio.subprocess.Process
    woken: bytes
    port: int
    browser: aiohttp.ClientSession
    log: Path


@pytest.fixture
async def program(gateway: StandInGateway, hub_url: str, tmp_path: Path) -> AsyncIterator[Program]:
    """`python -m teamhub_notebook`, started and announced."""
    home = tmp_path / "home"
    home.mkdir()
    address_file = tmp_path / "address.json"
    log = tmp_path / "log"
    wake = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    wake.bind(str(tmp_path / "wake"))
    wake.setblocking(False)
    scopes = json.dumps(["access:servers!server=alice/"])
    source = str(Path(teamhub_notebook.__file__).parents[1])
    environ = {
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        "PYTHONPATH": source,
        "SHELL": "/bin/sh",
        "JUPYTERHUB_API_TOKEN": TOKEN,
        "JPY_API_TOKEN": TOKEN,
        "JUPYTERHUB_API_URL": hub_url,
        "JUPYTERHUB_ACTIVITY_URL": f"{hub_url}/users/alice/activity",
        "JUPYTERHUB_CLIENT_ID": "jupyterhub-user-alice",
        "JUPYTERHUB_USER": "alice",
        "JUPYTERHUB_SERVICE_PREFIX": f"{BASE}/",
        "JUPYTERHUB_SERVICE_URL": f"http://127.0.0.1:0{BASE}/",
        "JUPYTERHUB_OAUTH_ACCESS_SCOPES": scopes,
        "JUPYTERHUB_OAUTH_SCOPES": scopes,
        "TEAMHUB_GATEWAY_URL": f"http://127.0.0.1:{gateway.port}{PREFIX}",
        "TEAMHUB_ADDRESS_FILE": str(address_file),
        "TEAMHUB_WAKE_SOCKET": str(tmp_path / "wake"),
        "TEAMHUB_WORKLOAD": "deployment/workload-9/1",
    }
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "teamhub_notebook", env=environ, stdout=output, stderr=output
        )
    loop = asyncio.get_running_loop()
    waking = asyncio.ensure_future(loop.sock_recv(wake, 100))
    ending = asyncio.ensure_future(process.wait())
    try:
        await asyncio.wait(
            {waking, ending}, timeout=DEADLINE_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        assert waking.done(), log.read_text()
        port = json.loads(address_file.read_text())["port"]
        async with aiohttp.ClientSession(
            f"http://127.0.0.1:{port}", headers={"Authorization": f"token {MEMBER_TOKEN}"}
        ) as browser:
            yield Program(process, waking.result(), port, browser, log)
    finally:
        waking.cancel()
        wake.close()
        if process.returncode is None:
            process.kill()
        await ending


async def environment_of_a_terminal(browser: aiohttp.ClientSession) -> str:
    """Return what `env` says in a new terminal."""
    async with browser.post(f"{BASE}/api/terminals") as response:
        name = (await response.json())["name"]
    terminal = await browser.ws_connect(f"{BASE}/terminals/websocket/{name}")
    await terminal.send_json(["stdin", "env; echo the-end-$((40+2))\n"])
    seen = ""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while "the-end-42" not in seen:
            kind, *rest = await terminal.receive_json()
            seen += rest[0] if kind == "stdout" else ""
    await terminal.close()
    return seen


async def test_it_serves_the_lab_and_keeps_its_secrets(
    program: Program, gateway: StandInGateway
) -> None:
    assert program.woken == b"workload-9"
    browser = program.browser
    async with browser.get(f"{BASE}/lab") as response:
        page = await response.text()
        assert response.status == 200
    assert "JupyterLab" in page
    config = json.loads(page.split('type="application/json">', 1)[1].split("</script>", 1)[0])
    assert config["news"] == {"disabled": True}
    assert config["quitButton"] is False
    assert config["terminalsAvailable"] is True
    async with aiohttp.ClientSession() as stranger:
        url = f"http://127.0.0.1:{program.port}{BASE}/api/kernels"
        async with stranger.get(url) as response:
            assert response.status == 403
        async with stranger.get(f"{url}?token={TOKEN}") as response:
            assert response.status == 403

    async with browser.get(f"{BASE}/api/kernelspecs") as response:
        logo = (await response.json())["kernelspecs"]["my-env"]["resources"]["logo-64x64"]
    async with browser.get(logo) as response:
        assert await response.read() == b"\x89PNG not really"

    seen = await environment_of_a_terminal(browser)
    assert f"JUPYTER_SERVER_URL=http://127.0.0.1:{program.port}{BASE}/" in seen
    assert "TEAMHUB_" not in seen
    assert TOKEN not in seen

    socket_ = await browser.ws_connect(
        f"{BASE}/api/kernels/{gateway.new_kernel()}/channels?session_id=1", protocols=(V1,)
    )
    await socket_.send_bytes(b"ping")
    assert await socket_.receive_bytes() == b"ping"
    await socket_.close()
    assert TOKEN not in program.log.read_text()
    runtime = Path(program.log).parent / "home/.local/share/jupyter/runtime"
    assert all(TOKEN not in file.read_text() for file in runtime.glob("jpserver-*"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_its_end_ends_no_kernel(
    program: Program, gateway: StandInGateway, number: signal.Signals
) -> None:
    wanted = {"path": "n.ipynb", "name": "", "type": "notebook", "kernel": {"name": "my-env"}}
    async with program.browser.post(f"{BASE}/api/sessions", json=wanted) as response:
        assert response.status == 201
    program.process.send_signal(number)
    assert await asyncio.wait_for(program.process.wait(), DEADLINE_SECONDS) == 0
    assert len(gateway.kernels) == 1
    assert "DELETE" not in {method for method, _ in gateway.requests}
    said = [json.loads(line) for line in program.log.read_text().splitlines()]
    assert not any("traceback" in line for line in said)
    # To be stopped is no disaster.
    assert [line["level"] for line in said if "received signal" in line["message"]] == ["info"]
    assert "critical" not in {line["level"] for line in said}


async def test_a_missing_variable_is_one_line(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "teamhub_notebook",
        env={
            "HOME": str(tmp_path),
            "PYTHONPATH": str(Path(teamhub_notebook.__file__).parents[1]),
        },
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await asyncio.wait_for(process.communicate(), DEADLINE_SECONDS)
    assert process.returncode == 2
    assert said.decode().splitlines() == [
        "teamhub-notebook: TEAMHUB_GATEWAY_URL is not set: it must be the URL of the kernel gateway"
    ]
