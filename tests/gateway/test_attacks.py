"""What a member, or somebody without an account, tries against the others on a real team server.

Over the network only: where members share a uid, files and signals are no border.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path

import aiohttp
import psutil
import pytest
import zmq
from team import Member, TeamServer, wait_until
from teamhub_shim import protocol

pytestmark = pytest.mark.node

SILENCE_MILLISECONDS = 1000
"""How long nothing must come; the one who is let in is answered in a few."""


async def running(member: Member) -> str:
    """A kernel that has answered its shim."""
    kernel_id = await member.start_kernel()
    async with member.connect(kernel_id) as cells:
        assert (await cells.run("1 + 1")).text == "2"
    return kernel_id


def endpoint_of(team: TeamServer, kernel_id: str) -> tuple[str, bytes]:
    with sqlite3.connect(team.data_dir / "teamhub.sqlite") as database:
        port, key = database.execute(
            "SELECT port, public_key FROM workloads WHERE id = ?", (kernel_id,)
        ).fetchone()
    return f"tcp://127.0.0.1:{port}", key.encode()


def answered(
    endpoint: str, server_key: bytes | None, keys: tuple[bytes, bytes] | None, wait: int
) -> bool:
    """Whether a shim answers a greeting."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as link:
        link.linger = 0
        if keys is not None and server_key is not None:
            link.curve_publickey, link.curve_secretkey = keys
            link.curve_serverkey = server_key
        link.connect(endpoint)
        link.send_multipart([protocol.HELLO, b"{}"])
        return bool(link.poll(wait))


async def test_a_shim_answers_the_gateway_alone(team: TeamServer, member: Member) -> None:
    victim, own = await running(member), await running(team.member())
    endpoint, key = endpoint_of(team, victim)
    _, own_key = endpoint_of(team, own)
    public, secret = (team.data_dir / "secrets/gateway-curve").read_text().split()
    stranger = zmq.curve_keypair()
    forged = (public.encode(), stranger[1])
    wrong = (
        (key, stranger),
        (own_key, stranger),
        (key, forged),
        (None, None),
    )
    for server_key, keys in wrong:
        said = await asyncio.to_thread(answered, endpoint, server_key, keys, SILENCE_MILLISECONDS)
        assert not said
    gateways = (public.encode(), secret.encode())
    assert await asyncio.to_thread(answered, endpoint, key, gateways, 10_000)


async def test_a_foreign_kernel_is_not_there(team: TeamServer, member: Member) -> None:
    kernel_id = await member.start_kernel()
    mallory = team.member()
    own = await mallory.start_kernel()
    async with mallory.http() as http:
        async with http.post(
            "api/sessions", json={"path": "mine.ipynb", "kernel": {"id": own}}
        ) as answer:
            session_id = (await answer.json())["id"]
        tries = [
            ("GET", f"api/kernels/{kernel_id}", None),
            ("DELETE", f"api/kernels/{kernel_id}", None),
            ("POST", f"api/kernels/{kernel_id}/interrupt", None),
            ("POST", f"api/kernels/{kernel_id}/restart", None),
            ("GET", f"api/kernels/{kernel_id}/channels", None),
            ("POST", "api/sessions", {"path": "new.ipynb", "kernel": {"id": kernel_id}}),
            ("PATCH", f"api/sessions/{session_id}", {"kernel": {"id": kernel_id}}),
        ]
        for method, path, body in tries:
            async with http.request(method, path, json=body) as answer:
                assert answer.status == 404, (method, path)
        with pytest.raises(aiohttp.WSServerHandshakeError, match="404"):
            await http.ws_connect(f"api/kernels/{kernel_id}/channels")
        async with http.get("api/kernels") as answer:
            assert [model["id"] for model in await answer.json()] == [own]
    assert (await member.kernel(kernel_id))[0] == 200


@pytest.mark.parametrize("name", ["gateway-token", "operator-token", "proxy-token"])
async def test_a_services_token_is_no_members(team: TeamServer, name: str) -> None:
    token = (team.data_dir / "secrets" / name).read_text().strip()
    async with (
        aiohttp.ClientSession() as http,
        http.get(
            f"{team.gateway_url}/api/kernels", headers={"Authorization": f"token {token}"}
        ) as answer,
    ):
        assert answer.status == 403


async def test_cookies_open_nothing_at_the_gateway(team: TeamServer, member: Member) -> None:
    """A page on the shared origin can make a browser send its cookies, and nothing else."""
    cookies = dict.fromkeys(
        ("token", "jupyterhub-hub-login", "jupyterhub-session-id"), member.token
    )
    async with (
        aiohttp.ClientSession(cookies=cookies) as http,
        http.get(f"{team.gateway_url}/api/kernels") as answer,
    ):
        assert answer.status == 403


async def test_a_token_in_an_address_is_in_no_log(team: TeamServer, member: Member) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{team.gateway_url}/api/kernels?token={member.token}") as answer,
    ):
        assert answer.status == 200
    # No such server: the whole address is handed on to the hub, within another one.
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{team.url}/user/nobody/api?token={member.token}") as answer,
    ):
        assert "SIGN IN" in (await answer.text()).upper()
    for log in (team.data_dir / "logs").iterdir():
        assert member.token not in log.read_text(errors="replace"), log.name
    for process in psutil.process_iter(["cmdline"]):
        assert member.token not in " ".join(process.info["cmdline"] or ())


async def test_a_kernel_speaks_of_itself_to_its_owner_alone(team: TeamServer) -> None:
    mallory, ada = team.member(), team.member()
    forge = (
        "import pathlib\n"
        "path = pathlib.Path('~/.ipython/profile_default/ipython_kernel_config.py').expanduser()\n"
        "path.parent.mkdir(parents=True, exist_ok=True)\n"
        "path.write_text('from ipykernel.ipkernel import IPythonKernel as K\\n'\n"
        "                'K.banner = property(lambda kernel: \"forged\")\\n')\n"
    )
    kernel_id = await mallory.start_kernel()
    async with mallory.connect(kernel_id) as cells:
        assert (await cells.run(forge)).status == "ok"
    kernel_id = await running(mallory)
    async with mallory.connect(kernel_id) as cells:
        assert "forged" in (await cells.run("get_ipython().kernel.banner")).text
    kernel_id = await ada.start_kernel()
    async with ada.connect(kernel_id) as cells:
        asked = await cells.send("kernel_info_request", {})
        while True:
            message = await cells.receive()
            if (
                message["header"]["msg_type"] == "kernel_info_reply"
                and message["parent_header"].get("msg_id") == asked
            ):
                assert "forged" not in json.dumps(message["content"])
                break


async def test_a_client_that_reads_nothing_costs_the_others_little(
    team: TeamServer, member: Member
) -> None:
    kernel_id = await running(member)
    gateway = psutil.Process(team.pid_of("gateway"))
    before = gateway.memory_info().rss
    # Sent by hand: a library would read on its own.
    path = f"/services/gateway/api/kernels/{kernel_id}/channels?session_id=lazy"
    reader, writer = await asyncio.open_connection("127.0.0.1", team.port, limit=2**12)
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: token {member.token}\r\n"
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
    )
    assert b"101" in await reader.readuntil(b"\r\n\r\n")
    async with member.connect(kernel_id) as cells:
        # Four times of what may wait, each taken by a client that does read.
        for _ in range(32):
            assert (await cells.run("print('x' * 2**24)")).status == "ok"
    most = gateway.memory_info().rss - before
    writer.close()
    assert most < 400 * 1024**2, f"{most / 1024**2:.0f} MiB"


def test_what_the_data_directory_shows_to_others(team: TeamServer) -> None:
    def open_files() -> list[Path]:
        top = [p for p in team.data_dir.iterdir() if p.is_file() and p.name != "teamhub.toml"]
        inner = [p for name in ("secrets", "logs", "run") for p in (team.data_dir / name).iterdir()]
        return [p for p in (*top, *inner) if p.lstat().st_mode & 0o077 and not p.is_socket()]

    wait_until("the databases are there", (team.data_dir / "hub.sqlite").exists)
    assert [p for p in open_files() if p.is_file()] == []
    for name in ("secrets", "logs", "run"):
        assert (team.data_dir / name).stat().st_mode & 0o077 == 0
