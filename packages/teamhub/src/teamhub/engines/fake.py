"""Engine `fake`: workloads that exist only in memory, for tests of what stands above an engine.

Deterministic, without processes, clocks or files. It does what it is told: any call can be made
to fail or to wait, any workload to become ready, to exit or to vanish. What runs is kept by a
FakeMachine, which outlives the engine: a second FakeEngine on the same machine is what a
dispatcher finds after a crash.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace

from teamhub.engines.base import Engine
from teamhub.engines.events import Events
from teamhub.errors import EngineError
from teamhub.model import Address, Handle, Launch, Node, Observed, Phase
from teamhub.reasons import Reason

STEPS = ("start", "inspect", "logs", "remove", "owned", "nodes")
"""What can be told to fail or to wait."""


@dataclass
class FakeWorkload:
    """What runs, or ran, on a FakeMachine. `obeys`: whether it ends when it is asked to."""

    launch: Launch
    observed: Observed
    obeys: bool = True
    log: list[str] = field(default_factory=list)


@dataclass
class _Failure:
    step: str
    workload_id: str | None
    error: EngineError
    times: int


class FakeMachine:
    """What survives an engine: the workloads, and what they and the engines were told to do.

    Attributes:
        workloads: by deployment and workload id.
        calls: every call of an engine that came through, as step and workload id, in order.
        killed: the ids of those that did not end when asked, and were killed.
        missing_commands: what is refused as argv[0].
        ready_at_once: whether what starts is ready at once; otherwise `make_ready` says so.
    """

    def __init__(self, *, name: str = "fake", cpus: float = 8, memory_bytes: int = 2**34) -> None:
        self.node = Node(name, cpus, memory_bytes)
        self.workloads: dict[tuple[str, str], FakeWorkload] = {}
        self.calls: list[tuple[str, str]] = []
        self.killed: list[str] = []
        self.missing_commands: set[str] = set()
        self.ready_at_once = False
        self.events = Events()
        self._failures: list[_Failure] = []
        self._gates: dict[str, asyncio.Event] = {}
        self._number = 0

    def fail(
        self, step: str, error: EngineError, *, workload_id: str | None = None, times: int = 1
    ) -> None:
        """Make the next calls of a step raise, instead of doing anything.

        Args:
            step: one of STEPS.
            error: what is raised.
            workload_id: only for this workload; None: for any.
            times: how many calls.
        """
        _check_step(step)
        self._failures.append(_Failure(step, workload_id, error, times))

    def hold(self, step: str) -> None:
        """Make every call of a step wait, before it does anything, until `release`."""
        _check_step(step)
        self._gates.setdefault(step, asyncio.Event())

    def release(self, step: str) -> None:
        """Let the calls that wait go on, and those that come not wait."""
        gate = self._gates.pop(step, None)
        if gate is not None:
            gate.set()

    def make_ready(self, workload_id: str, port: int = 40000) -> None:
        """Let a workload say that it is ready, on this port. Raises KeyError."""
        address = Address("127.0.0.1", port)
        self._change(workload_id, phase=Phase.READY, address=address)

    def listen(self, workload_id: str, port: int = 40000) -> None:
        """Let a workload say where it listens, but not that it is ready. Raises KeyError."""
        self._change(workload_id, address=Address("127.0.0.1", port))

    def exit(self, workload_id: str, code: int | None = 0, reason: Reason | None = None) -> None:
        """Let a workload end by itself. Raises KeyError."""
        changes = {"exit_code": code, "reason": reason, "address": None}
        self._change(workload_id, phase=Phase.EXITED, **changes)

    def vanish(self, workload_id: str) -> None:
        """Let the machine forget a workload, as a reboot does. Raises KeyError."""
        del self.workloads[self._key(workload_id)]
        self.events.publish(workload_id)

    def write(self, workload_id: str, text: str) -> None:
        """Let a workload write to its log. Raises KeyError."""
        self.workloads[self._key(workload_id)].log.extend(text.splitlines(keepends=True))

    def disobey(self, workload_id: str) -> None:
        """Let a workload not end when it is asked to. Raises KeyError."""
        self.workloads[self._key(workload_id)].obeys = False

    def running(self, workload_id: str) -> bool:
        """Return whether anything of a workload runs."""
        return any(
            workload.observed.phase in {Phase.STARTING, Phase.READY}
            for (_, each), workload in self.workloads.items()
            if each == workload_id
        )

    def next_number(self) -> int:
        """Return a number that stands for a process id and is never used again."""
        self._number += 1
        return self._number

    async def step(self, step: str, workload_id: str = "") -> None:
        """Wait or fail as told, for a call of an engine."""
        gate = self._gates.get(step)
        if gate is not None:
            await gate.wait()
        for failure in self._failures:
            if failure.step == step and failure.workload_id in {None, workload_id}:
                failure.times -= 1
                if failure.times <= 0:
                    self._failures.remove(failure)
                raise failure.error
        self.calls.append((step, workload_id))

    def _key(self, workload_id: str) -> tuple[str, str]:
        keys = [key for key in self.workloads if key[1] == workload_id]
        if len(keys) != 1:
            raise KeyError(workload_id)
        return keys[0]

    def _change(self, workload_id: str, **changes: object) -> None:
        workload = self.workloads[self._key(workload_id)]
        if workload.observed.phase is Phase.EXITED:
            raise KeyError(f"{workload_id} has ended")
        workload.observed = replace(workload.observed, **changes)  # type: ignore[arg-type]
        self.events.publish(workload_id)


class FakeEngine(Engine):
    """An engine whose machine is a FakeMachine."""

    name = "fake"

    def __init__(self, deployment: str, machine: FakeMachine | None = None) -> None:
        """Args:
        deployment: the deployment's id, which everything started will carry.
        machine: what it runs things on; None: one of its own, where all is ready at once.
        """
        self.deployment = deployment
        if machine is None:
            machine = FakeMachine()
            machine.ready_at_once = True
        self.machine = machine
        self._is_open = False

    async def open(self) -> None:
        """See Engine."""
        self._is_open = True

    async def close(self) -> None:
        """See Engine."""
        self._is_open = False

    async def nodes(self) -> Sequence[Node]:
        """See Engine."""
        await self._step("nodes")
        return [self.machine.node]

    async def start(self, launch: Launch) -> Handle:
        """See Engine."""
        await self._step("start", launch.workload_id)
        key = (self.deployment, launch.workload_id)
        known = self.machine.workloads.get(key)
        if known is not None:
            attempt = known.launch.attempt
            if attempt > launch.attempt:
                detail = f"attempt {attempt} is there, {launch.attempt} comes too late"
                raise EngineError(Reason.ENGINE, detail)
            if attempt == launch.attempt and known.observed.handle is not None:
                return known.observed.handle
            del self.machine.workloads[key]
        command = launch.argv[0] if launch.argv else ""
        if not command or command in self.machine.missing_commands:
            detail = f"the command {command} cannot be executed: No such file or directory"
            raise EngineError(Reason.COMMAND_NOT_FOUND, detail)
        data = {
            "workload_id": launch.workload_id,
            "attempt": launch.attempt,
            "number": self.machine.next_number(),
        }
        handle = Handle("fake", 1, data)
        observed = Observed(launch.workload_id, Phase.STARTING, launch.attempt, handle)
        if self.machine.ready_at_once:
            address = Address("127.0.0.1", 40000)
            observed = replace(observed, phase=Phase.READY, address=address)
        self.machine.workloads[key] = FakeWorkload(launch, observed)
        self.machine.events.publish(launch.workload_id)
        return handle

    async def inspect(self, handle: Handle) -> Observed:
        """See Engine."""
        workload_id = _workload_id(handle)
        await self._step("inspect", workload_id)
        workload = self._find(handle)
        if workload is None:
            return Observed(workload_id, Phase.GONE, int(handle.data["attempt"]), handle)
        return workload.observed

    async def logs(self, handle: Handle, tail: int = 200) -> str:
        """See Engine."""
        await self._step("logs", _workload_id(handle))
        workload = self._find(handle)
        return "".join(workload.log[-tail:]) if workload is not None and tail > 0 else ""

    async def remove(self, handle: Handle) -> None:
        """See Engine. There is no stop timeout: what does not obey is killed at once."""
        workload_id = _workload_id(handle)
        await self._step("remove", workload_id)
        workload = self._find(handle)
        if workload is None:
            return
        if not workload.obeys and workload.observed.phase is not Phase.EXITED:
            self.machine.killed.append(workload_id)
        del self.machine.workloads[self.deployment, workload_id]
        self.machine.events.publish(workload_id)

    async def owned(self) -> Sequence[Observed]:
        """See Engine."""
        await self._step("owned")
        return [
            workload.observed
            for (deployment, _), workload in self.machine.workloads.items()
            if deployment == self.deployment
        ]

    def events(self) -> AsyncIterator[str]:
        """See Engine. Begins with what happens after this call; any number may listen."""
        return self.machine.events.listen()

    async def _step(self, step: str, workload_id: str = "") -> None:
        if not self._is_open:
            raise EngineError(Reason.ENGINE, "engine fake is not open")
        await self.machine.step(step, workload_id)

    def _find(self, handle: Handle) -> FakeWorkload | None:
        workload = self.machine.workloads.get((self.deployment, _workload_id(handle)))
        return workload if workload is not None and workload.observed.handle == handle else None


def _workload_id(handle: Handle) -> str:
    if (handle.engine, handle.version) != ("fake", 1):
        detail = f"a handle of engine {handle.engine}, version {handle.version}, is not mine"
        raise EngineError(Reason.ENGINE, detail)
    return str(handle.data["workload_id"])


def _check_step(step: str) -> None:
    if step not in STEPS:
        raise ValueError(f"{step!r} is not one of {', '.join(STEPS)}")
