"""The engine's socket: whoever opens last has the path, however many open at once."""

from __future__ import annotations

import asyncio
import socket
import tempfile
import threading
from pathlib import Path

from teamhub.engines.wake import WakeSocket

OPENERS = 8
ROUNDS = 40


def test_many_open_at_once_and_all_succeed() -> None:
    faults: list[BaseException] = []
    with tempfile.TemporaryDirectory(prefix="th-") as folder:
        path = Path(folder) / "wake"
        together = threading.Barrier(OPENERS)

        async def open_and_close() -> None:
            made = WakeSocket(path, lambda _: None)
            made.open()
            made.close()

        def opener() -> None:
            try:
                for _ in range(ROUNDS):
                    together.wait()
                    asyncio.run(open_and_close())
            except BaseException as fault:
                faults.append(fault)
                together.abort()

        threads = [threading.Thread(target=opener) for _ in range(OPENERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert faults == []
        assert list(Path(folder).glob("wake.*")) == []


async def test_the_last_one_is_heard() -> None:
    with tempfile.TemporaryDirectory(prefix="th-") as folder:
        path = Path(folder) / "wake"
        heard: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        first = WakeSocket(path, lambda text: heard.put_nowait(("first", text)))
        second = WakeSocket(path, lambda text: heard.put_nowait(("second", text)))
        first.open()
        second.open()
        first.close()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"w1", str(path))
        assert await asyncio.wait_for(heard.get(), 10) == ("second", "w1")
        second.close()
        assert not path.exists()
