"""Telling several listeners that there may be something new about a workload."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator


class Events:
    """Hands every published id to every listener of one event loop.

    A listener that falls behind holds each id at most once, so what waits for it is bounded by
    the number of workloads, and no id is lost. Listeners that nobody holds are forgotten.
    """

    def __init__(self) -> None:
        self._listeners: weakref.WeakSet[_Listener] = weakref.WeakSet()

    def publish(self, workload_id: str) -> None:
        """Tell all listeners about an id."""
        for listener in list(self._listeners):
            listener.put(workload_id)

    def listen(self) -> AsyncIterator[str]:
        """Return an endless iterator over what is published from this call on."""
        listener = _Listener()
        self._listeners.add(listener)
        return listener


class _Listener(AsyncIterator[str]):
    def __init__(self) -> None:
        self._waiting: dict[str, None] = {}
        self._some = asyncio.Event()

    def put(self, workload_id: str) -> None:
        self._waiting[workload_id] = None
        self._some.set()

    async def __anext__(self) -> str:
        while not self._waiting:
            self._some.clear()
            await self._some.wait()
        workload_id = next(iter(self._waiting))
        del self._waiting[workload_id]
        return workload_id
