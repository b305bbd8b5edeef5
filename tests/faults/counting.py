"""A cell that counts until it is told to stop, and what a client has seen of it."""

from __future__ import annotations

import uuid
from itertools import pairwise
from pathlib import Path

import aiohttp
from team import Cells, Member, Result


class Counting:
    """Numbered outputs, followed over any number of websockets with one session.

    Args:
        member: whose kernel counts.
        session: the session of all websockets.
    """

    def __init__(self, member: Member, session: str) -> None:
        home = member.server.data_dir / "homes" / member.name
        self._enough = Path(home, f"enough-{uuid.uuid4().hex}")
        self._session = session
        self._msg_id = ""
        self._answered = ""
        self.numbers: list[int] = []

    @property
    def last(self) -> int:
        """The highest number that was seen."""
        return max(self.numbers)

    async def begin(self, cells: Cells) -> None:
        """Have the kernel count, into its variable `counted` and on its output."""
        self._msg_id = await cells.ask(
            "import os, time\n"
            "counted = []\n"
            f"while not os.path.exists({str(self._enough)!r}):\n"
            "    counted.append(len(counted))\n"
            "    print(counted[-1], flush=True)\n"
            "    time.sleep(0.01)\n"
        )

    async def see(self, cells: Cells, count: int) -> None:
        """Return when that many more numbers have come."""
        wanted = len(self.numbers) + count
        while len(self.numbers) < wanted:
            assert await self._receive(cells), "the websocket was closed"

    async def see_all(self, cells: Cells) -> None:
        """Take in everything that comes until the other side closes the websocket."""
        while await self._receive(cells):
            pass

    async def end(self, cells: Cells) -> Result:
        """Have the counting end; return what came of the cell."""
        self._enough.touch()
        while not self._answered:
            assert await self._receive(cells), "the websocket was closed"
        return Result(self._answered)

    def check(self) -> None:
        """Check that no number is missing, and that repeats are at a seam, in one piece.

        A client of the stock protocol cannot acknowledge, so a return may repeat a little.
        """
        assert not set(range(self.last + 1)) - set(self.numbers)
        back = [(before, after) for before, after in pairwise(self.numbers) if after <= before]
        assert len(back) <= 1, back

    async def _receive(self, cells: Cells) -> bool:
        """Take in one message. False when the websocket is closed."""
        try:
            message = await cells.receive()
        except (AssertionError, aiohttp.ClientError):
            assert cells.websocket.closed
            return False
        if message["parent_header"].get("msg_id") == self._msg_id:
            content = message["content"]
            match message["header"]["msg_type"]:
                case "stream":
                    self.numbers += map(int, content["text"].split())
                case "execute_reply":
                    self._answered = content["status"]
        return True
