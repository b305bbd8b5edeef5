"""The notebook server in front of a real gateway: a stock jupyter_server with a real kernel."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.jsonutil import json_default
from jupyter_client.session import Session
from jupyter_server.services.kernels.connection.base import (
    deserialize_binary_message,
    deserialize_msg_from_ws_v1,
    serialize_binary_message,
    serialize_msg_to_ws_v1,
)
from notebook_standin import PREFIX, TOKEN, V1

DEADLINE_SECONDS = 60

# Echoes the buffers that it is sent, as a widget would.
CODE = """
def opened(comm, message):
    @comm.on_msg
    def sent(message):
        comm.send({"size": sum(map(len, message["buffers"]))}, buffers=message["buffers"])
get_ipython().kernel.comm_manager.register_target("echo", opened)
print("ready")
"""
BUFFER = bytes(range(256)) * 4096  # 1 MiB that is no UTF-8


@pytest.fixture
async def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    """What the spawner would say, with a stock jupyter_server as the gateway."""
    home = tmp_path / "home"
    home.mkdir()
    for name in ("CONFIG", "DATA", "RUNTIME"):
        monkeypatch.setenv(f"JUPYTER_{name}_DIR", str(tmp_path / "own" / name.lower()))
    monkeypatch.setenv("HOME", str(home))
    runtime = tmp_path / "stock"
    with (tmp_path / "stock.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "jupyter_server",
            "--ServerApp.port=0",
            f"--ServerApp.base_url={PREFIX}/",
            f"--IdentityProvider.token={TOKEN}",
            "--ServerApp.open_browser=False",
            "--ServerApp.allow_root=True",
            "--ServerApp.jpserver_extensions={}",
            "--ZMQChannelsWebsocketConnection.limit_rate=False",
            env={**os.environ, "JUPYTER_RUNTIME_DIR": str(runtime)},
            cwd=home,
            stdout=log,
            stderr=log,
        )
    try:
        file = runtime / f"jpserver-{process.pid}.json"
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not file.exists() or not file.read_text().endswith("}"):
                assert process.returncode is None, (tmp_path / "stock.log").read_text()
                await asyncio.sleep(0.02)
        port = json.loads(file.read_text())["port"]
        yield {
            "HOME": str(home),
            "TEAMHUB_GATEWAY_URL": f"http://127.0.0.1:{port}{PREFIX}",
            "JUPYTERHUB_API_TOKEN": TOKEN,
        }
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), DEADLINE_SECONDS)


class Page:
    """A page that talks to a kernel, in either of Jupyter's protocols."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._session = Session(key=b"")

    async def send(
        self, msg_type: str, content: dict[str, Any], buffers: list[bytes] | None = None
    ) -> str:
        """Send a request and return its message id."""
        message = self._session.msg(msg_type, content)
        if self._socket.protocol == V1:
            data = serialize_msg_to_ws_v1(message, "shell", self._session.pack)
            if buffers:
                pack = self._session.pack
                parts = [pack(message[p]) for p in _PARTS]
                data = serialize_msg_to_ws_v1([*parts, *buffers], "shell")
            await self._socket.send_bytes(data)
        elif buffers:
            await self._socket.send_bytes(
                serialize_binary_message(message | {"channel": "shell", "buffers": buffers})
            )
        else:
            text = json.dumps(message | {"channel": "shell", "buffers": []}, default=json_default)
            await self._socket.send_str(text)
        return str(message["header"]["msg_id"])

    async def until(self, msg_type: str, answering: str | None = None) -> dict[str, Any]:
        """Return the next message of a type, or the one that answers a request."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while True:
                message = self._understand((await self._socket.receive()).data)
                if answering not in {None, message["parent_header"].get("msg_id")}:
                    continue
                if message["header"]["msg_type"] == msg_type:
                    return message

    def _understand(self, data: str | bytes) -> dict[str, Any]:
        if isinstance(data, str):
            return json.loads(data)
        if self._socket.protocol != V1:
            return deserialize_binary_message(data)
        _, parts = deserialize_msg_from_ws_v1(data)
        message: dict[str, Any] = {n: json.loads(p) for n, p in zip(_PARTS, parts, strict=False)}
        return message | {"buffers": parts[4:]}


_PARTS = ("header", "parent_header", "metadata", "content")


@pytest.mark.parametrize("protocol", [V1, None])
async def test_a_real_kernel_answers_with_outputs_and_buffers(
    start: Any, environ: dict[str, str], protocol: str | None
) -> None:
    notebook = await start()
    wanted = {"path": "n.ipynb", "name": "", "type": "notebook", "kernel": {"name": "python3"}}
    status, session = await notebook.ask("POST", "/api/sessions", wanted)
    assert status == 201, session
    kernel_id = session["kernel"]["id"]
    page = Page(await notebook.open(kernel_id, "page-1", protocol))
    await page.send("execute_request", {"code": CODE, "silent": False})
    assert (await page.until("stream"))["content"]["text"] == "ready\n"
    await page.send("comm_open", {"comm_id": "c", "target_name": "echo", "data": {}})
    await page.send("comm_msg", {"comm_id": "c", "data": {}}, [BUFFER, b"\xff"])
    echo = await page.until("comm_msg")
    assert echo["content"]["data"] == {"size": len(BUFFER) + 1}
    assert [bytes(buffer) for buffer in echo["buffers"]] == [BUFFER, b"\xff"]
    await page.send("execute_request", {"code": "print('x' * 11_000_000)", "silent": False})
    assert len((await page.until("stream"))["content"]["text"]) == 11_000_001
    await page.send("execute_request", {"code": "kept = 6 * 7", "silent": False})
    await page.until("execute_reply")

    await start.stop(notebook)
    again = await start()
    _, same = await again.ask("POST", "/api/sessions", wanted)
    assert (same["id"], same["kernel"]["id"]) == (session["id"], kernel_id)
    page = Page(await again.open(kernel_id, "page-2", protocol))
    await page.send("execute_request", {"code": "print(kept)", "silent": False})
    assert (await page.until("stream"))["content"]["text"] == "42\n"
    assert (await again.ask("POST", f"/api/kernels/{kernel_id}/restart"))[0] == 200
    # By the reply: stock jupyter_server may lose what is published right after a restart.
    asked = {"code": "", "silent": False, "user_expressions": {"kept": "'kept' in dir()"}}
    request = await page.send("execute_request", asked)
    reply = (await page.until("execute_reply", request))["content"]
    assert reply["user_expressions"]["kept"]["data"] == {"text/plain": "False"}
    assert (await again.ask("DELETE", f"/api/sessions/{session['id']}"))[0] == 204
    assert (await again.ask("GET", "/api/kernels"))[1] == []
