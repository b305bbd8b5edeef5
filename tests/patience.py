"""Waiting for what tells nobody, and for a server that is just coming back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
from team import Cells, Member

AWAY = (aiohttp.ClientError, TimeoutError, OSError)
"""What a client sees of a server that is not there."""


async def eventually(what: str, check: Callable[[], Awaitable[Any]], seconds: float = 90) -> Any:
    """Return the first true answer. Fails at the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        found = await check()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.1)


@asynccontextmanager
async def reconnect(member: Member, kernel_id: str, session: str) -> AsyncIterator[Cells]:
    """A websocket to a kernel, as soon as there is somebody to open it."""
    async with AsyncExitStack() as stack:

        async def attempt() -> Cells | None:
            try:
                return await stack.enter_async_context(member.connect(kernel_id, session))
            except AWAY:
                return None

        yield await eventually(f"a websocket to {kernel_id}", attempt)


async def model_of(member: Member, kernel_id: str, **wanted: Any) -> dict[str, Any]:
    """Return a kernel's model once it has these values."""

    async def look() -> dict[str, Any] | None:
        try:
            status, model = await member.kernel(kernel_id)
        except AWAY:
            return None
        as_wanted = all(model.get(name) == value for name, value in wanted.items())
        return model if status == 200 and as_wanted else None

    found: dict[str, Any] = await eventually(f"kernel {kernel_id} with {wanted}", look)
    return found
