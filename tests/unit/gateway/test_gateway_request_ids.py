"""Every answer has an id of the gateway's own, and what is done for it can be found by that."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import zmq
from aiohttp.test_utils import TestClient
from gateway_rig import GatewayRig, Member
from patience import eventually
from teamhub import request_id
from teamhub.config import Config
from teamhub.gateway.app import BASE
from teamhub.gateway.kernel import Kernel
from teamhub.gateway.link import Keys, Link
from teamhub.logs import JsonFormatter
from teamhub_shim import protocol

ID = re.compile(r"[0-9a-f]{16}")


class Lines(logging.Handler):
    """Log lines with the request that they are of."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append((request_id.current(), JsonFormatter("gateway").format(record)))


@pytest.fixture
def lines() -> Iterator[list[tuple[str, str]]]:
    handler, log = Lines(), logging.getLogger("teamhub")
    level = log.level
    log.setLevel("INFO")
    log.addHandler(handler)
    yield handler.seen
    log.removeHandler(handler)
    log.setLevel(level)


async def ask(client: TestClient[Any, Any], path: str, **headers: str) -> tuple[str, Any]:
    """Return an answer's id and its JSON."""
    headers = {"Authorization": "token ada-token", **headers}
    async with client.get(BASE + path, headers=headers) as answer:
        return answer.headers["X-Request-Id"], await answer.json()


async def test_each_answer_has_one_and_a_problem_says_it(client: TestClient[Any, Any]) -> None:
    seen = set()
    for path in (
        "/api",
        "/api/kernels",
        "/api/kernels/none",
        "/nothing",
        "/readyz",
        "/api/x" * 2000,
    ):
        made, body = await ask(client, path)
        assert ID.fullmatch(made)
        if "message" in body:
            assert body["request_id"] == made
        seen.add(made)
    async with client.put(f"{BASE}/api/kernels") as answer:
        assert (await answer.json())["request_id"] == answer.headers["X-Request-Id"]
    assert len(seen) == 6


async def test_a_clients_own_is_only_logged(
    client: TestClient[Any, Any], lines: list[tuple[str, str]]
) -> None:
    theirs = "00000000deadbeef"
    made, _ = await ask(client, "/api/kernels", **{"X-Request-Id": theirs})
    assert made != theirs
    assert [line for of, line in lines if of == made and f'"client_request_id": "{theirs}"' in line]
    await ask(client, "/api/kernels", **{"X-Request-Id": "é" + "x" * 500})
    assert json.loads(lines[-1][1])["client_request_id"] == "?" + "x" * 63
    await ask(client, "/api/kernels")
    assert "client_request_id" not in lines[-1][1]


async def test_log_lines_are_of_their_request(
    client: TestClient[Any, Any], lines: list[tuple[str, str]]
) -> None:
    async def one(path: str) -> tuple[str, str]:
        return (await ask(client, path))[0], path

    made = await asyncio.gather(*(one(f"/api/kernels/{n}") for n in range(10)))
    for of, path in made:
        assert [line for id_, line in lines if id_ == of and f"{path} " in line]
    assert len({of for of, _ in made}) == 10
    assert request_id.current() == ""


async def test_a_websocket_keeps_its_own_for_its_life(
    ada: Member, lines: list[tuple[str, str]]
) -> None:
    kernel_id = await ada.kernel()
    socket = await ada.socket(kernel_id)
    made = socket.raw._response.headers["X-Request-Id"]
    assert ID.fullmatch(made)
    await socket.raw.send_str("not a message")
    assert (await socket.closed())[0] == 1003
    await socket.raw.close()

    async def told() -> bool:
        return any(of == made and "/channels 101 " in line for of, line in lines)

    await eventually("the websocket's line in the log", told, 10)


async def test_what_outlives_a_request_is_not_of_it(rig: GatewayRig, ada: Member) -> None:
    seen = []

    async def look() -> None:
        seen.append(request_id.current())

    kernel = Kernel(await rig.row(await ada.kernel()), Config(data_dir=rig.folder), rig.store)
    request_id.begin()
    kernel._spawn(look())
    await asyncio.gather(*kernel._tasks)
    assert seen == [""]


@pytest.fixture
async def shim() -> AsyncIterator[tuple[Link, Any]]:
    """A link, and a bare socket in the place of a shim."""
    context = zmq.Context()
    public, secret = (key.decode() for key in zmq.curve_keypair())
    other_public, other_secret = zmq.curve_keypair()
    socket = context.socket(zmq.ROUTER)
    socket.linger = 0
    socket.curve_server = True
    socket.curve_secretkey = other_secret
    port = socket.bind_to_random_port("tcp://127.0.0.1")
    link = Link(
        context,
        f"tcp://127.0.0.1:{port}",
        other_public.decode(),
        Keys(public, secret),
        on_message=lambda *_: None,
        on_state=lambda _: None,
        on_detached=lambda _: None,
    )
    yield link, socket
    link.close()
    socket.close()
    context.destroy(linger=0)


async def test_a_shim_is_told_for_which_request(shim: tuple[Link, Any]) -> None:
    link, socket = shim

    def answer_one() -> dict[str, Any]:
        while True:
            assert socket.poll(10_000)
            frames = socket.recv_multipart()
            if frames[1] == protocol.CALL:
                socket.send_multipart([frames[0], protocol.RETURN, frames[2], b'{"result": {}}'])
                return dict(json.loads(frames[4]))

    async def told() -> dict[str, Any]:
        answering = asyncio.create_task(asyncio.to_thread(answer_one))
        await link.call("attach", session="s")
        return await answering

    assert await told() == {"session": "s"}
    made = request_id.begin()
    assert await told() == {"session": "s", "request_id": made}


def test_ids_are_made_anew() -> None:
    made = {request_id.begin() for _ in range(100)}
    assert len(made) == 100
    assert all(ID.fullmatch(each) for each in made)
    assert request_id.current() in made
    assert request_id.outside().run(request_id.current) == ""
    assert request_id.current() in made
    assert [request_id.foreign(each) for each in (None, "", " a ", "a\nb", "é", "x" * 99)] == [
        "",
        "",
        "a",
        "a?b",
        "?",
        "x" * 64,
    ]


async def test_a_probe_that_finds_all_well_is_for_debugging(
    client: TestClient[Any, Any], lines: list[tuple[str, str]]
) -> None:
    await ask(client, "/healthz")
    await ask(client, "/api")
    said = [json.loads(text)["message"] for _, text in lines]
    assert [text.split()[1] for text in said] == [f"{BASE}/api"]
