"""A dispatcher on a real store and a machine of engine fake, and ways to end it abruptly."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from teamhub.config import Config
from teamhub.dispatcher import Dispatcher
from teamhub.dispatcher.launches import Launches
from teamhub.engines.fake import FakeEngine, FakeMachine
from teamhub.errors import StoreError
from teamhub.model import Kind, Phase, Status, Workload
from teamhub.store import Store

DEPLOYMENT = "d0d0d0d0"
DEADLINE_SECONDS = 20
ENGINE_CALLS = ("open", "nodes", "start", "inspect", "logs", "remove", "owned")
STORE_CALLS = {
    "lease": ("take", "beat", "held"),
    "workloads": ("advance", "get", "living", "forget_ended"),
    "accounts": ("get",),
}

EFFECTS = {"take", "advance", "start", "remove"}

OpenStore = Callable[[], Awaitable[Store]]


class Crash:
    """Ends a dispatcher at the n-th call of its engine or store: nothing after it happens.

    Args:
        at: the call's number, from 1.
        before: the call is not made; otherwise it is made, and its answer comes to nobody.
        effects_only: count only the calls that change something.
    """

    def __init__(self, at: int, *, before: bool, effects_only: bool) -> None:
        self.calls: list[str] = []
        self.crashed = asyncio.Event()
        self._at = at
        self._before = before
        self._effects_only = effects_only
        self._undo: list[tuple[Any, str]] = []

    def wrap(self, whole: Any, names: tuple[str, ...]) -> None:
        for name in names:
            if self._effects_only and name not in EFFECTS:
                continue
            setattr(whole, name, self._wrapped(getattr(whole, name)))
            self._undo.append((whole, name))

    def keep_lease(self, lease: Any) -> None:
        """A process that is dead does not give back its lease either."""

        async def release(_epoch: int) -> None:
            raise StoreError("dead")

        lease.release = release
        self._undo.append((lease, "release"))

    def undo(self) -> None:
        """Let what was wrapped be as it was."""
        for whole, name in self._undo:
            delattr(whole, name)

    def _wrapped(self, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def counted(*args: Any, **kwargs: Any) -> Any:
            if self.crashed.is_set():
                await self._nothing_more()
            self.calls.append(call.__qualname__)
            here = len(self.calls) == self._at
            if here and self._before:
                await self._nothing_more()
            answer = await call(*args, **kwargs)
            if here or self.crashed.is_set():
                await self._nothing_more()
            return answer

        assert inspect.iscoroutinefunction(call)
        return counted

    async def _nothing_more(self) -> None:
        self.crashed.set()
        await asyncio.Event().wait()


class Rig:
    """One deployment: its machine, a store to watch and to wish with, and its dispatchers."""

    def __init__(self, folder: Path, open_store: OpenStore, store: Store, **settings: Any) -> None:
        dispatcher = {"lease_seconds": 600, "sweep_seconds": 600, **settings}
        self.config = Config(data_dir=folder, dispatcher=dispatcher)
        self.machine = FakeMachine()
        self.store = store
        self._open_store = open_store
        self._running: list[asyncio.Task[None]] = []

    async def dispatcher(self, crash: Crash | None = None) -> tuple[Dispatcher, Store]:
        """A dispatcher with a store of its own, as another process would have it."""
        store = await self._open_store()
        engine = FakeEngine(DEPLOYMENT, self.machine)
        if crash is not None:
            crash.wrap(engine, ENGINE_CALLS)
            for part, names in STORE_CALLS.items():
                crash.wrap(getattr(store, part), names)
            crash.keep_lease(store.lease)
        launches = Launches(self.config, DEPLOYMENT, "g" * 40, None)
        return Dispatcher(self.config, store, engine, launches), store

    async def start(self, crash: Crash | None = None) -> asyncio.Task[None]:
        made, _ = await self.dispatcher(crash)
        task = asyncio.create_task(made.run())
        self._running.append(task)
        return task

    async def end(self, task: asyncio.Task[None]) -> None:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def close(self) -> None:
        for task in self._running:
            await self.end(task)

    async def bury_lease(self) -> None:
        """What the age of a dead dispatcher's heartbeat would do."""
        epoch = await self.store.lease.take("undertaker", 0)
        assert epoch is not None
        await self.store.lease.release(epoch)

    async def kernel(self, owner: str = "ada", **more: Any) -> Workload:
        return await self.store.workloads.add(
            Kind.KERNEL, owner, "python3", environment="python3", size="standard", **more
        )

    async def row(self, workload_id: str) -> Workload:
        found = await self.store.workloads.get(workload_id)
        assert found is not None
        return found

    async def until(self, holds: Callable[[], Awaitable[Any]]) -> Any:
        """Wait until something holds, looking whenever the store or the machine changes."""
        with self.store.subscribe() as wakes:

            async def listen(events: AsyncIterator[str]) -> None:
                async for _ in events:
                    wakes.wake()

            listening = asyncio.create_task(listen(self.machine.events.listen()))
            try:
                async with asyncio.timeout(DEADLINE_SECONDS):
                    while not (found := await holds()):
                        await wakes.wait()
                    return found
            finally:
                listening.cancel()

    async def reaches(self, workload_id: str, *statuses: Status) -> Workload:
        async def holds() -> Workload | None:
            row = await self.row(workload_id)
            return row if row.status in statuses else None

        found: Workload = await self.until(holds)
        return found

    async def observed(self, workload_id: str, phase: Phase) -> None:
        async def holds() -> bool:
            return any(
                key[1] == workload_id and each.observed.phase is phase
                for key, each in self.machine.workloads.items()
            )

        await self.until(holds)

    async def nothing_left(self) -> None:
        async def holds() -> bool:
            return not self.machine.workloads

        await self.until(holds)

    def started(self) -> int:
        """How many processes the machine has started so far; to be asked once, at the end."""
        return self.machine.next_number() - 1
