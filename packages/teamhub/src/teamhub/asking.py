"""Asking the servers of this machine over HTTP."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import aiohttp


class Asking:
    """Whoever asks over HTTP, never through the machine's web proxy. Used as `async with`.

    Args:
        timeout_seconds: for each answer.
        settings: of `aiohttp.ClientSession`.
    """

    def __init__(self, timeout_seconds: float, **settings: Any) -> None:
        self._timeout_seconds = timeout_seconds
        self._settings = settings
        self._opened: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._opened = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=self._timeout_seconds),
            trust_env=False,
            **self._settings,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._opened is not None:
            await self._opened.close()

    @property
    def _session(self) -> aiohttp.ClientSession:
        assert self._opened is not None, "used outside of `async with`"
        return self._opened
