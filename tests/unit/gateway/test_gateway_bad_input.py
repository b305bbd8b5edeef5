"""What nobody should send: one clear line of JSON comes back, and nothing has changed.

Bodies of the wrong kind and paths that lead nowhere are in test_gateway_routes.py, too.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from gateway_rig import GatewayRig, Member
from teamhub.gateway.access import Access, UnknownTokenError
from teamhub.gateway.app import BASE
from test_gateway_routes import is_problem

TOKEN = "Authorization: token ada-token"
ODD = [
    "../../etc/passwd",
    "..%2f..%2fetc",
    "%2e%2e/%2e%2e",
    "a%00b",
    "a%0d%0aX-Forged: 1",
    "%1b[31m",
    "%ff%fe",
    "%ed%a0%80",
    "%d0%b8%d0%bc%d1%8f",
    "%e2%80%ae",
    "%f0%9f%8c%8d",
    "%25%32%65",
    "'; DROP TABLE workloads; --",
    "x" * 5000,
]
ODD_TEXTS = [
    "../../etc/passwd",
    "a\r\nX-Forged: 1",
    "\x1b[31m",
    "имя",
    "名前",
    "\u202etxt",
    "\U0001f30d",
    "a/b",
    "a%2fb",
]


async def raw(client: TestClient[Any, Any], *lines: str | bytes, body: bytes = b"") -> Any:
    """Send a request as these lines, byte by byte; return status, headers and JSON."""
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    encoded = [line if isinstance(line, bytes) else line.encode() for line in lines]
    head = b"\r\n".join([*encoded, b"Host: x", b"Connection: close"])
    writer.write(head + b"\r\n\r\n" + body)
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()
    head, _, text = answer.partition(b"\r\n\r\n")
    status, *headers = head.decode().split("\r\n")
    named = dict(line.split(": ", 1) for line in headers)
    return int(status.split()[1]), named, json.loads(text) if text else None


@pytest.fixture
async def unchanged(ada: Member, rig: GatewayRig) -> AsyncIterator[dict[str, Any]]:
    """A session that is there, and after the test everything as it was before."""
    _, session = await ada.ask("POST", "/api/sessions", {"path": "own", "kernel": {}})
    before = await rig.kernels(), await rig.store.sessions.of("ada")
    yield session
    assert (await rig.kernels(), await rig.store.sessions.of("ada")) == before


# Tokens


async def test_without_a_token_it_is_said_how_to_give_one() -> None:
    # By the real rules, without a hub: nobody need be asked about no token.
    access = Access("http://127.0.0.1:9/hub/api", "service", 60, 300)
    with pytest.raises(UnknownTokenError) as missing:
        await access.caller("")
    for words in ("Authorization: token", "?token=", "tokens create"):
        assert words in str(missing.value)
    assert "\n" not in str(missing.value)


@pytest.mark.parametrize(
    "header",
    [
        "Authorization:",
        "Authorization: token",
        "Authorization: token  ",
        "Authorization: Basic YWRhOnB3",
        "Authorization: ada-token",
        b"Authorization: token \xff\xfe",
        "Authorization: token nobody",
        "Cookie: token=ada-token",
    ],
)
async def test_a_token_that_is_none(
    client: TestClient[Any, Any], unchanged: Any, header: str | bytes
) -> None:
    for method, path in (("POST", "api/kernels"), ("DELETE", f"api/sessions/{unchanged['id']}")):
        line = f"{method} {BASE}/{path} HTTP/1.1"
        status, _, body = await raw(client, line, header, "Content-Length: 0")
        is_problem((status, body), 403)


# Names and ids


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: odd[:20])
async def test_odd_ids_and_names_in_addresses(
    client: TestClient[Any, Any], unchanged: Any, odd: str
) -> None:
    odd = odd.replace(" ", "%20")
    for method, path in (
        ("GET", "api/kernels/{}"),
        ("DELETE", "api/kernels/{}"),
        ("POST", "api/kernels/{}/restart"),
        ("POST", "api/kernels/{}/interrupt"),
        ("GET", "api/kernels/{}/channels"),
        ("GET", "api/sessions/{}"),
        ("PATCH", "api/sessions/{}"),
        ("DELETE", "api/sessions/{}"),
        ("GET", "api/kernelspecs/{}"),
        ("GET", "kernelspecs/{}/logo-64x64.png"),
        ("GET", "kernelspecs/python3/{}"),
    ):
        line = f"{method} {BASE}/{path.format(odd)} HTTP/1.1"
        status, _, body = await raw(client, line, TOKEN, "Content-Length: 2", body=b"{}")
        message = is_problem((status, body), 404)
        assert message.isprintable()
        assert len(message) < 500


async def test_bytes_that_are_no_text_in_an_address(
    client: TestClient[Any, Any], unchanged: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    for odd in (b"\xff\xfe", b"\xed\xa0\x80", "é".encode()):
        for path in (b"/api/kernels/" + odd, b"/api/kernelspecs/" + odd, b"/" + odd):
            line = b"GET " + BASE.encode() + path + b" HTTP/1.1"
            # Not even HTTP, most of it: then aiohttp says so before anything of ours is asked.
            reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
            writer.write(line + b"\r\nHost: x\r\nConnection: close\r\n\r\n")
            async with asyncio.timeout(10):
                assert (await reader.read()).split()[1] in {b"400", b"403"}
            writer.close()
    for record in caplog.records:
        record.getMessage().encode()


@pytest.mark.parametrize("odd", ODD_TEXTS)
async def test_odd_kernelspecs_and_ids_in_bodies(ada: Member, unchanged: Any, odd: str) -> None:
    path = f"/api/sessions/{unchanged['id']}"
    for method, where, body in (
        ("POST", "/api/kernels", {"name": odd}),
        ("POST", "/api/sessions", {"path": "a", "kernel": {"name": odd}}),
        ("POST", "/api/sessions", {"path": "a", "kernel": {"id": odd}}),
        ("PATCH", path, {"path": "changed", "kernel": {"name": odd}}),
        ("PATCH", path, {"path": "changed", "kernel": {"id": odd}}),
    ):
        message = is_problem(await ada.ask(method, where, body), 404)
        assert message.isprintable()


@pytest.mark.parametrize("odd", ODD_TEXTS)
async def test_a_path_of_any_script_is_a_path_in_the_home(
    ada: Member, rig: GatewayRig, odd: str
) -> None:
    status, session = await ada.ask("POST", "/api/sessions", {"path": odd, "kernel": {}})
    assert (status, session["path"]) == (201, odd)
    row = await rig.row(session["kernel"]["id"])
    assert row.spec["working_dir"].startswith(str(rig.folder / "homes" / "ada"))
    assert ".." not in row.spec["working_dir"]


# Bodies


BODIES = {
    "not UTF-8": b'{"name": "\xff"}',
    "Latin-1": '{"name": "é"}'.encode("latin-1"),
    "cut short": b'{"name": "pyth',
    "twice": b"{}{}",
    "nested": b'{"name": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "nested where nobody looks": b'{"x": ' + b'{"x":' * 100_000 + b"1" + b"}" * 100_000 + b"}",
    "a number beyond reason": b'{"path": "a", "kernel": {}, "x": ' + b"9" * 10_000 + b"}",
    "half a character": b'{"path": "\\udc00", "name": "\\udc00"}',
    "a form": b"name=python3",
    "null": b"null",
}


@pytest.mark.parametrize("data", BODIES.values(), ids=BODIES)
async def test_bodies_that_are_none(ada: Member, unchanged: Any, data: bytes) -> None:
    for method, path in (
        ("POST", "/api/kernels"),
        ("POST", "/api/sessions"),
        ("PATCH", f"/api/sessions/{unchanged['id']}"),
    ):
        message = is_problem(await ada.ask(method, path, data=data), 400)
        assert len(message) < 300


async def test_a_body_that_is_not_compressed_as_it_says(
    ada: Member, unchanged: Any, caplog: pytest.LogCaptureFixture
) -> None:
    for encoding, data in (
        ("gzip", b"{}"),
        ("gzip", gzip.compress(b"{}")[:-10]),
        ("deflate", b"\xff\xff\xff"),
    ):
        headers = {"Content-Encoding": encoding}
        for path in ("/api/kernels", "/api/sessions"):
            is_problem(await ada.ask("POST", path, data=data, headers=headers), 400)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_body_over_the_limit_is_told_the_limit(ada: Member, unchanged: Any) -> None:
    for data, more in (
        (b" " * (2 * 1024**2 + 1), {}),
        (gzip.compress(b" " * 16 * 1024**2), {"Content-Encoding": "gzip"}),
    ):
        for method, path in (
            ("POST", "/api/kernels"),
            ("POST", "/api/sessions"),
            ("PATCH", f"/api/sessions/{unchanged['id']}"),
        ):
            message = is_problem(await ada.ask(method, path, data=data, headers=more), 413)
            assert "2 MiB" in message


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "nonsense"])
async def test_json_is_taken_whatever_it_is_called(ada: Member, kind: str) -> None:
    headers = {"Content-Type": kind}
    status, model = await ada.ask(
        "POST", "/api/kernels", data=b'{"name": "python3"}', headers=headers
    )
    assert (status, model["name"]) == (201, "python3")


# Addresses, headers, methods


async def test_an_address_that_is_too_long(client: TestClient[Any, Any], unchanged: Any) -> None:
    for path in ("/api/kernels?x=", "/api/kernels/", "/", "/readyz?x="):
        line = f"GET {BASE}{path}{'x' * 9000} HTTP/1.1"
        status, _, body = await raw(client, line, TOKEN)
        assert "8192" in is_problem((status, body), 414)


async def test_a_header_that_is_too_long(client: TestClient[Any, Any], unchanged: Any) -> None:
    line = f"POST {BASE}/api/kernels HTTP/1.1"
    for header in (f"X-Long: {'x' * 9000}", f"Authorization: token {'x' * 9000}"):
        status, _, body = await raw(client, line, TOKEN, header, "Content-Length: 0")
        message = is_problem((status, body), 431)
        assert header.split(":", maxsplit=1)[0] in message
        assert "8192" in message


async def test_an_address_that_leads_nowhere_is_told_where_to_look(ada: Member) -> None:
    for path in ("/api/nothing", "/lab", "/api/kernels/"):
        message = is_problem(await ada.ask("GET", path), 404)
        assert f"{BASE}/api/spec.json" in message


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/api/kernels", "GET, HEAD, POST"),
        ("POST", "/api/kernels/x", "DELETE, GET, HEAD"),
        ("GET", "/api/kernels/x/restart", "POST"),
        ("DELETE", "/api/kernelspecs", "GET, HEAD"),
        ("OPTIONS", "/api/sessions", "GET, HEAD, POST"),
        ("TRACE", "/api/sessions/x", "DELETE, GET, HEAD, PATCH"),
    ],
)
async def test_a_method_that_is_not_possible_is_told_which_are(
    client: TestClient[Any, Any], unchanged: Any, method: str, path: str, allowed: str
) -> None:
    status, headers, body = await raw(client, f"{method} {BASE}{path} HTTP/1.1", TOKEN)
    assert allowed in is_problem((status, body), 405)
    assert headers["Allow"] == allowed


HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}


@pytest.mark.parametrize(
    "change",
    [
        {"Upgrade": ""},
        {"Upgrade": "h2c"},
        {"Connection": "close"},
        {"Sec-WebSocket-Version": "99"},
        {"Sec-WebSocket-Version": ""},
        {"Sec-WebSocket-Key": ""},
        {"Sec-WebSocket-Key": "short"},
        {"Sec-WebSocket-Key": "\udcff"},
    ],
    ids=str,
)
async def test_half_a_websocket_is_none(
    ada: Member, client: TestClient[Any, Any], unchanged: Any, change: dict[str, str]
) -> None:
    line = f"GET {BASE}/api/kernels/{unchanged['kernel']['id']}/channels HTTP/1.1"
    headers = [
        f"{name}: {value}".encode("utf-8", "surrogateescape")
        for name, value in {**HANDSHAKE, **change}.items()
    ]
    status, _, body = await raw(client, line, TOKEN, *headers)
    assert "websocket" in is_problem((status, body), 400)
