"""A kernel's websocket through the notebook server, at a stand-in gateway."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import pytest
from aiohttp import WSMsgType
from jupyter_server.services.kernels.connection.base import deserialize_msg_from_ws_v1
from notebook_standin import TOKEN, V1, StandInGateway
from teamhub_notebook import channels
from teamhub_notebook.channels import Channels

DEADLINE_SECONDS = 20
NOT_UTF8 = bytes(range(256)) * 4


async def receive(browser: Any) -> Any:
    """Return the next message of a websocket."""
    message = await asyncio.wait_for(browser.receive(), DEADLINE_SECONDS)
    assert message.type in {WSMsgType.TEXT, WSMsgType.BINARY}, message
    return message.data


async def send(browser: Any, message: str | bytes) -> None:
    if isinstance(message, bytes):
        await browser.send_bytes(message)
    else:
        await browser.send_str(message)


@pytest.mark.parametrize("protocol", [V1, None])
async def test_both_legs_speak_what_the_browser_chose(
    notebook: Any, gateway: StandInGateway, protocol: str | None
) -> None:
    browser = await notebook.open(gateway.new_kernel(), "page-7", protocol)
    await gateway.until(lambda: gateway.sockets)
    assert browser.protocol == protocol
    assert gateway.sockets[0].ws_protocol == protocol
    assert gateway.dialled[0].query["session_id"] == "page-7"
    assert gateway.dialled[0].headers["Authorization"] == f"token {TOKEN}"


@pytest.mark.parametrize("protocol", [V1, None])
async def test_text_and_bytes_pass_through_untouched(
    notebook: Any, gateway: StandInGateway, protocol: str | None
) -> None:
    browser = await notebook.open(gateway.new_kernel(), protocol=protocol)
    for message in (NOT_UTF8, "grün", b"", NOT_UTF8 * 1024):
        await send(browser, message)
        assert await receive(browser) == message
    assert gateway.received == [NOT_UTF8, "grün", b"", NOT_UTF8 * 1024]


async def test_no_size_is_too_large(notebook: Any, gateway: StandInGateway) -> None:
    # More than every default on the way: 10 MiB for a message, 100 MiB for a buffer.
    browser = await notebook.open(gateway.new_kernel())
    large = b"\xff" * (110 * 1024**2)
    await browser.send_bytes(large)
    assert await receive(browser) == large
    await browser.send_bytes(b"and on")
    assert await receive(browser) == b"and on"


async def test_a_burst_arrives_whole_and_in_order(notebook: Any, gateway: StandInGateway) -> None:
    browser = await notebook.open(gateway.new_kernel())
    await gateway.until(lambda: gateway.sockets)

    async def burst() -> None:
        for number in range(20_000):
            await gateway.send(gateway.sockets[0], f"{number}")

    sending = asyncio.create_task(burst())
    for number in range(20_000):
        assert await receive(browser) == f"{number}"
    await sending


async def test_small_messages_are_sent_at_once(notebook: Any, gateway: StandInGateway) -> None:
    browser = await notebook.open(gateway.new_kernel())
    await gateway.until(lambda: gateway.sockets)
    (connection,) = Channels._all
    await until(lambda: connection._upstream is not None)
    streams = (
        connection._upstream.protocol.stream,
        connection.websocket_handler.ws_connection.stream,
    )
    for stream in streams:
        assert stream.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    await browser.close()


async def test_what_the_browser_says_while_the_gateway_is_away_is_sent_in_order(
    notebook: Any, gateway: StandInGateway
) -> None:
    browser = await notebook.open(gateway.new_kernel())
    await send(browser, "before")
    assert await receive(browser) == "before"
    (connection,) = Channels._all
    await until(lambda: len(connection._outbox) == 0)
    await gateway.down()
    said = [f"{number}" for number in range(100)] + [NOT_UTF8]
    for message in said:
        await send(browser, message)
    await until(lambda: len(connection._outbox) == len(said))
    await gateway.up()
    assert [await receive(browser) for _ in said] == said
    assert gateway.received == ["before", *said]


async def test_it_goes_on_trying_for_as_long_as_the_page_is_open(
    notebook: Any, gateway: StandInGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "LONGEST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(channels, "FIRST_PAUSE_SECONDS", 0.01)
    dials = 0
    dial = Channels._dial

    async def counted(self: Channels) -> Any:
        nonlocal dials
        dials += 1
        return await dial(self)

    monkeypatch.setattr(Channels, "_dial", counted)
    browser = await notebook.open(gateway.new_kernel())
    await gateway.until(lambda: gateway.sockets)
    await gateway.down()
    await until(lambda: dials > 20)
    await gateway.up()
    await send(browser, "still here")
    assert await receive(browser) == "still here"
    await browser.close()
    await until(lambda: not Channels._all)


async def test_what_was_not_acknowledged_is_sent_again(
    notebook: Any, gateway: StandInGateway
) -> None:
    # A gateway that took messages in and was killed before it had done anything with them.
    gateway.deaf = True
    browser = await notebook.open(gateway.new_kernel())
    for message in ("one", "two"):
        await send(browser, message)
        assert await receive(browser) == message
    gateway.deaf = False
    await gateway.drop()
    assert [await receive(browser) for _ in range(2)] == ["one", "two"]
    assert gateway.received == ["one", "two", "one", "two"]
    (connection,) = Channels._all
    await until(lambda: len(connection._outbox) == 0)
    await gateway.drop()
    await gateway.until(lambda: len(gateway.dialled) == 3 and gateway.sockets)
    await send(browser, "three")
    assert await receive(browser) == "three"
    assert gateway.received[4:] == ["three"]


async def test_too_much_for_a_gateway_that_is_away_closes_the_page_with_a_reason(
    notebook: Any, gateway: StandInGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "KEPT_BYTES", 1000)
    browser = await notebook.open(gateway.new_kernel())
    await gateway.until(lambda: gateway.sockets)
    (connection,) = Channels._all
    await gateway.down()
    await until(lambda: connection._upstream is None)
    await send(browser, b"x" * 900)
    await send(browser, b"x" * 900)
    message = await asyncio.wait_for(browser.receive(), DEADLINE_SECONDS)
    assert message.type == WSMsgType.CLOSE
    assert message.data == 1013
    assert "too much is waiting" in message.extra


@pytest.mark.parametrize("protocol", [V1, None])
async def test_a_kernel_that_is_gone_is_reported_dead(
    notebook: Any, gateway: StandInGateway, protocol: str | None
) -> None:
    kernel_id = gateway.new_kernel()
    browser = await notebook.open(kernel_id, protocol=protocol)
    await gateway.until(lambda: gateway.sockets)
    del gateway.kernels[kernel_id]
    await gateway.drop()
    data = await receive(browser)
    if protocol:
        channel, parts = deserialize_msg_from_ws_v1(data)
        header, content = json.loads(parts[0]), json.loads(parts[3])
    else:
        message = json.loads(data)
        channel, header, content = message["channel"], message["header"], message["content"]
    assert (channel, header["msg_type"], content) == (
        "iopub",
        "status",
        {"execution_state": "dead"},
    )
    asked = gateway.asked("GET", "/channels")
    await send(browser, "anybody?")
    # Nothing is tried again: a round trip later there still was no other attempt.
    await notebook.ask("GET", "/api/kernels")
    assert gateway.asked("GET", "/channels") == asked


async def test_a_new_server_passes_on_a_kernel_it_was_not_told_of(
    notebook: Any, gateway: StandInGateway
) -> None:
    browser = await notebook.open(gateway.new_kernel())
    await send(browser, "hello")
    assert await receive(browser) == "hello"


async def test_the_newer_of_two_connections_of_one_session_stays(
    notebook: Any, gateway: StandInGateway
) -> None:
    kernel_id = gateway.new_kernel()
    older = await notebook.open(kernel_id, "page-1")
    other = await notebook.open(kernel_id, "page-2")
    newer = await notebook.open(kernel_id, "page-1")
    message = await asyncio.wait_for(older.receive(), DEADLINE_SECONDS)
    assert (message.type, message.data) == (WSMsgType.CLOSE, 4001)
    for browser in (other, newer):
        await send(browser, "x")
        assert await receive(browser) == "x"


async def test_a_slow_browser_slows_the_gateway_and_loses_nothing(
    notebook: Any, gateway: StandInGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "UNFLUSHED_BYTES", 1024**2)
    browser = await notebook.open(gateway.new_kernel())
    await gateway.until(lambda: gateway.sockets)
    browser._conn.protocol.pause_reading()
    (connection,) = Channels._all
    piece = b"p" * 1024**2

    async def pour() -> None:
        for _ in range(100):
            await gateway.send(gateway.sockets[0], piece)

    pouring = asyncio.create_task(pour())
    await until(lambda: connection._unflushed_bytes >= 1024**2)
    for _ in range(200):
        await asyncio.sleep(0)
    assert connection._unflushed_bytes < 5 * 1024**2
    assert not pouring.done()
    browser._conn.protocol.resume_reading()
    for _ in range(100):
        assert await receive(browser) == piece
    await pouring


async def test_stopping_the_server_closes_pages_and_no_kernel(
    start: Any, gateway: StandInGateway
) -> None:
    notebook = await start()
    browser = await notebook.open(gateway.new_kernel())
    await gateway.until(lambda: gateway.sockets)
    await notebook.app.cleanup_kernels()
    await Channels.close_all()
    message = await asyncio.wait_for(browser.receive(), DEADLINE_SECONDS)
    assert (message.type, message.data) == (WSMsgType.CLOSE, 1001)
    await start.stop(notebook)
    assert len(gateway.kernels) == 1
    assert "DELETE" not in {method for method, _ in gateway.requests}


async def until(condition: Any) -> None:
    """Let the loop turn until a condition holds."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not condition():  # noqa: ASYNC110  what is waited for is traffic between others
            await asyncio.sleep(0.005)
