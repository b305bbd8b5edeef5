"""Hints to several listeners."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
from pathlib import Path

from teamhub.engines.events import Events
from teamhub.engines.wake import WakeSocket

DEADLINE_SECONDS = 10.0


async def test_each_listener_gets_each_id_in_order_and_waiting_ones_once() -> None:
    events = Events()
    first, second = events.listen(), events.listen()
    for workload_id in ("a", "b", "a", "c"):
        events.publish(workload_id)
    for listener in (first, second):
        assert [await anext(listener) for _ in range(3)] == ["a", "b", "c"]
    events.publish("a")
    assert await anext(first) == "a"


async def test_a_listener_waits_and_can_give_up() -> None:
    events = Events()
    listener = events.listen()
    waiting = asyncio.ensure_future(anext(listener))
    await asyncio.sleep(0)  # let it begin
    assert not waiting.done()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    events.publish("a")
    assert await anext(listener) == "a"


async def test_a_listener_that_nobody_holds_is_forgotten() -> None:
    events = Events()
    listener = events.listen()
    assert len(events._listeners) == 1
    del listener
    gc.collect()
    assert len(events._listeners) == 0


async def test_the_wake_socket_hears_and_survives_a_successor(tmp_path: Path) -> None:
    path = tmp_path / "w"
    heard: asyncio.Queue[str] = asyncio.Queue()
    first = WakeSocket(path, heard.put_nowait)
    first.open()
    second = WakeSocket(path, heard.put_nowait)
    second.open()
    first.close()  # must not take the path from its successor
    first.close()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        for number in range(250):
            try:
                sender.sendto(f"w{number}\n".encode(), str(path))
            except BlockingIOError:
                break
            if number % 5 == 0:
                await asyncio.sleep(0)
    async with asyncio.timeout(DEADLINE_SECONDS):
        assert await heard.get() == "w0"
    mode = path.stat().st_mode & 0o777
    assert mode == (0o622 if os.geteuid() == 0 else 0o600)
    second.close()
    assert not path.exists()
