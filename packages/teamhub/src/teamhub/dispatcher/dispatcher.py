"""The loop: look, decide by the pure functions, do. One is active at a time, by the lease."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections import Counter
from typing import Any

import psutil
import zmq
from teamhub_shim.protocol import Exit

from teamhub.config import Config
from teamhub.dispatcher.launches import SHIM_SECRET, Launches
from teamhub.dispatcher.placement import Load, place
from teamhub.dispatcher.queue import order
from teamhub.dispatcher.reconcile import Act, Step, next_step
from teamhub.engines.base import Engine
from teamhub.errors import DeposedError, EngineError, StoreError
from teamhub.logs import about, about_this_task, as_text, of_workload
from teamhub.model import Desired, Handle, Kind, Observed, Phase, Status, Workload
from teamhub.reasons import Reason
from teamhub.store import Store
from teamhub.store.database import now

log = logging.getLogger("teamhub.dispatcher")

_LOG_LINES = 60
_HEARTBEATS_PER_LEASE = 3
_RETRY_SECONDS = 1.0
_ORPHANS_AT_ONCE = 8
_CLOCK_STEP_SECONDS = 60.0
_WIPED: dict[str, Any] = {"secrets": {}, "execution_state": "dead"}


class Dispatcher:
    """Makes what runs equal to what should run.

    Args:
        config: the settings.
        store: open, and receiving wake-ups.
        engine: not yet opened; closed by `run` at its end, workloads left running.
        launches: makes what the engine is asked to start.
    """

    def __init__(self, config: Config, store: Store, engine: Engine, launches: Launches) -> None:
        self._config = config
        self._store = store
        self._engine = engine
        self._launches = launches
        self._holder = _holder(os.getpid())
        self._epoch = 0
        self._driving: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        self._placing = asyncio.Lock()
        self._removing_orphans = asyncio.Semaphore(_ORPHANS_AT_ONCE)
        self._wakes = store.subscribe()
        self._lost: asyncio.Event = asyncio.Event()

    async def run(self) -> None:
        """Dispatch until cancelled. Waits for the lease, and for it again after losing it."""
        try:
            while True:
                await self._take_lease()
                log.info("dispatching as %s, epoch %d", self._holder, self._epoch)
                try:
                    await self._engine.open()
                    await self._dispatch()
                except DeposedError:
                    log.warning("another dispatcher has taken over; waiting")
                except (EngineError, StoreError) as error:
                    log.error("dispatching failed, trying again: %s", error)
                    # Else the next round would wait for the age of our own lease.
                    with contextlib.suppress(StoreError):
                        await self._store.lease.release(self._epoch)
                    await asyncio.sleep(_RETRY_SECONDS)
                finally:
                    await self._end_driving()
        finally:
            self._wakes.close()
            if self._epoch:
                with contextlib.suppress(StoreError):
                    await self._store.lease.release(self._epoch)
            await self._engine.close()

    # The lease

    async def _take_lease(self) -> None:
        while True:
            seconds = self._config.dispatcher.lease_seconds
            with contextlib.suppress(StoreError):
                held = await self._store.lease.held()
                if held is not None and _is_dead(held.holder):
                    seconds = 0.0
                epoch = await self._store.lease.take(self._holder, seconds)
                if epoch is not None:
                    self._epoch = epoch
                    return
            await self._wakes.wait(self._config.dispatcher.lease_seconds / _HEARTBEATS_PER_LEASE)

    async def _beat(self) -> None:
        """Keep the lease. An interval lost to a database in trouble is retried, not fatal."""
        while True:
            await asyncio.sleep(self._config.dispatcher.lease_seconds / _HEARTBEATS_PER_LEASE)
            try:
                await self._store.lease.beat(self._epoch)
            except DeposedError:
                raise
            except StoreError as error:
                log.warning("the heartbeat could not be written: %s", error)

    # Looking

    async def _dispatch(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._beat())
                group.create_task(self._watch_engine())
                group.create_task(self._watch_lost())
                group.create_task(self._watch_store())
        except* (DeposedError, EngineError, StoreError) as found:
            errors = found
        else:
            return
        raise _first(errors)

    async def _watch_lost(self) -> None:
        """A task that found itself deposed says so here, since nobody awaits it."""
        await self._lost.wait()
        self._lost.clear()
        raise DeposedError("another dispatcher has taken over")

    async def _watch_engine(self) -> None:
        async for workload_id in self._engine.events():
            self._drive(workload_id)

    async def _watch_store(self) -> None:
        loop = asyncio.get_running_loop()
        sweep_seconds = self._config.dispatcher.sweep_seconds
        next_sweep = loop.time()
        while True:
            sweeping = loop.time() >= next_sweep
            try:
                if sweeping:
                    next_sweep = loop.time() + sweep_seconds
                    await self._store.nodes.note(await self._engine.nodes(), self._epoch)
                    await self._remove_orphans()
                    await self._store.workloads.forget_ended(
                        self._config.dispatcher.keep_ended_days
                    )
                queued = False
                for workload in await self._store.workloads.living():
                    if workload.status is Status.QUEUED and workload.desired is Desired.RUNNING:
                        queued = True
                    elif sweeping or _has_work(workload):
                        self._drive(workload.id)
                if queued:
                    await self._place()
            except StoreError as error:
                if isinstance(error, DeposedError):
                    raise
                log.warning("the store could not be read, trying again: %s", error)
                await asyncio.sleep(_RETRY_SECONDS)
            except EngineError as error:
                log.warning("the engine did not answer, trying again: %s", error)
                await asyncio.sleep(_RETRY_SECONDS)
            await self._wakes.wait(max(0.0, next_sweep - loop.time()))

    async def _remove_orphans(self) -> None:
        """End what carries our label and has no living row: nothing is left over, ever.

        Each in a task of its own: what takes its time to end (a label is easily forged) must not
        keep those waiting who want to start something.
        """
        for observed in await self._engine.owned():
            workload = await self._store.workloads.get(observed.workload_id)
            orphan = workload is None or workload.status.ended
            if orphan and observed.handle is not None and observed.workload_id not in self._driving:
                log.warning("removing %s, which nobody wants", observed.workload_id)
                self._driving[observed.workload_id] = asyncio.create_task(
                    self._remove_orphan(observed.workload_id, observed.handle)
                )

    async def _remove_orphan(self, workload_id: str, handle: Handle) -> None:
        try:
            async with self._removing_orphans:
                await self._engine.remove(handle)
        except EngineError as error:
            log.warning("%s: %s; the next sweep tries again", workload_id, error)
        except Exception:
            log.exception("%s: a fault of ours; the next sweep tries again", workload_id)
        finally:
            del self._driving[workload_id]
            if workload_id in self._again:
                self._again.discard(workload_id)
                self._drive(workload_id)

    # Placing

    async def _place(self) -> None:
        async with self._placing:
            living = await self._store.workloads.living()
            starting = [w for w in living if w.status in {Status.PLACED, Status.STARTING}]
            room = self._config.dispatcher.concurrent_starts - len(starting)
            by_owner = Counter(w.owner for w in starting)
            queued = [
                w for w in living if w.status is Status.QUEUED and w.desired is Desired.RUNNING
            ]
            nodes = await self._engine.nodes()
            loads = self._loads(living)
            for workload in order(queued, starting):
                if room <= 0:
                    return
                if by_owner[workload.owner] >= self._starts_per_owner:
                    continue
                try:
                    size = self._launches.size_of(workload)
                except EngineError as error:
                    with about(**of_workload(workload)):
                        await self._fail(workload, error)
                    continue
                found = place(size, nodes, loads)
                if found.node is None:
                    if found.explanation != workload.detail:
                        await self._advance(workload, Status.QUEUED, detail=found.explanation)
                    continue
                values: dict[str, Any] = {"node": found.node, "detail": ""}
                if workload.kind is Kind.KERNEL:
                    public, secret = zmq.curve_keypair()
                    values["public_key"] = public.decode()
                    values["secrets"] = {**workload.secrets, SHIM_SECRET: secret.decode()}
                if await self._advance(workload, Status.PLACED, **values):
                    with about(**of_workload(workload)):
                        log.info("%s %s placed on %s", workload.kind, workload.id, found.node)
                    room -= 1
                    by_owner[workload.owner] += 1
                    load = loads.get(found.node, Load())
                    loads[found.node] = Load(
                        load.memory_bytes + (size.memory_bytes or 0), load.workloads + 1
                    )
                    self._drive(workload.id)

    @property
    def _starts_per_owner(self) -> int:
        """Starts that hang, as some do for a minute, must not take all places of one member."""
        return max(1, self._config.dispatcher.concurrent_starts // 2)

    def _loads(self, living: Any) -> dict[str, Load]:
        loads: dict[str, Load] = {}
        for workload in living:
            if workload.node is None:
                continue
            try:
                memory = self._launches.size_of(workload).memory_bytes or 0
            except EngineError:
                memory = 0
            load = loads.get(workload.node, Load())
            loads[workload.node] = Load(load.memory_bytes + memory, load.workloads + 1)
        return loads

    # Driving one workload

    def _drive(self, workload_id: str) -> None:
        """Take a workload as far as it goes now; one task for each, looking again if asked."""
        if workload_id in self._driving:
            self._again.add(workload_id)
            return
        task = asyncio.create_task(self._driven(workload_id), name=f"drive {workload_id}")
        self._driving[workload_id] = task

    async def _driven(self, workload_id: str) -> None:
        try:
            while True:
                self._again.discard(workload_id)
                while await self._one_step(workload_id):
                    pass
                if workload_id not in self._again:
                    return
        except DeposedError:
            self._lost.set()
        except (StoreError, EngineError) as error:
            log.warning("%s: %s; the next sweep tries again", workload_id, error)
        except Exception:
            log.exception("%s: a fault of ours; the next sweep tries again", workload_id)
        finally:
            del self._driving[workload_id]

    async def _one_step(self, workload_id: str) -> bool:
        """Do one step; return whether there may be another at once."""
        workload = await self._store.workloads.get(workload_id)
        if workload is None:
            return False
        about_this_task(**of_workload(workload))
        observed = None
        if workload.handle is not None and not workload.status.ended:
            observed = await self._engine.inspect(workload.handle)
        step = next_step(workload, observed, now(), self._config.dispatcher.start_timeout_seconds)
        match step.act:
            case Act.NOTHING | Act.PLACE:
                return False
            case Act.LAUNCH:
                return await self._launch(workload)
            case Act.MOVE:
                assert step.status is not None
                return await self._move(workload, step, step.status)
            case Act.REMOVE:
                assert step.status is not None
                await self._remove(workload)
                await self._advance(workload, step.status, handle=None, **_WIPED)
                log.info("%s %s of %s stopped", workload.kind, workload.id, workload.owner)
                return False
            case Act.BURY:
                await self._bury(workload, observed, step)
                return False

    async def _move(self, workload: Workload, step: Step, status: Status) -> bool:
        values: dict[str, Any] = {}
        if step.address is not None:
            values["address"] = step.address
        if status is Status.RUNNING:
            values |= {"started_at": now(), "secrets": {}, "detail": ""}
            log.info("%s %s of %s runs", workload.kind, workload.id, workload.owner)
        if status.ended:
            values |= _WIPED
        return await self._advance(workload, status, **values)

    async def _launch(self, workload: Workload) -> bool:
        account = await self._store.accounts.get(workload.owner)
        try:
            launch = self._launches.make(workload, account.number if account else None)
            handle = await self._engine.start(launch)
        except EngineError as error:
            await self._fail(workload, error)
            return False
        # Where the row has moved on meanwhile (somebody asked for its end) it is read again, and
        # what was started is found by its label.
        log.info("%s %s of %s is starting", workload.kind, workload.id, workload.owner)
        await self._advance(workload, Status.STARTING, handle=handle)
        return True

    async def _remove(self, workload: Workload) -> None:
        handle = workload.handle or await self._find(workload.id)
        if handle is not None:
            await self._engine.remove(handle)

    async def _find(self, workload_id: str) -> Handle | None:
        for observed in await self._engine.owned():
            if observed.workload_id == workload_id:
                return observed.handle
        return None

    async def _bury(self, workload: Workload, observed: Observed | None, step: Step) -> None:
        assert workload.handle is not None
        assert step.status is not None
        text = await self._engine.logs(workload.handle, _LOG_LINES)
        status, reason, detail, tail = step.status, step.reason, step.detail, as_text(text)
        said = Exit.find(text)
        if said is not None and workload.kind is Kind.KERNEL:
            tail = said.log_tail
            if observed is not None and observed.phase is Phase.EXITED and not observed.reason:
                reason, detail = _reason(said.reason, reason), said.detail
                status = Status.STOPPED if reason is Reason.ASKED else Status.FAILED
        await self._advance(
            workload,
            status,
            reason=reason.value if reason else None,
            detail=detail,
            log_tail=tail,
            handle=None,
            **_WIPED,
        )
        asked = status is Status.STOPPED
        log.log(
            logging.INFO if asked else logging.WARNING,
            "%s %s of %s has ended: %s (%s)",
            workload.kind,
            workload.id,
            workload.owner,
            detail,
            reason,
        )
        await self._engine.remove(workload.handle)

    async def _fail(self, workload: Workload, error: EngineError) -> None:
        await self._advance(
            workload,
            Status.FAILED,
            reason=error.reason.value,
            detail=error.detail,
            handle=None,
            **_WIPED,
        )
        log.warning(
            "%s %s of %s has failed: %s",
            workload.kind,
            workload.id,
            workload.owner,
            error.detail,
        )

    async def _advance(self, workload: Workload, status: Status, **values: Any) -> bool:
        return await self._store.workloads.advance(workload, status, self._epoch, **values)

    async def _end_driving(self) -> None:
        tasks = list(self._driving.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        # Several may have found us deposed; that is not to end the next round.
        self._lost.clear()


def _holder(pid: int) -> str:
    """A name for a process of this machine that no other process ever has."""
    return f"{socket.gethostname()}:{pid}:{psutil.Process(pid).create_time():.0f}"


def _is_dead(holder: str) -> bool:
    """Whether a holder was a process of this machine that has ended: its lease need not age."""
    host, _, rest = holder.rpartition(":")[0].rpartition(":")
    if host != socket.gethostname() or not rest.isdigit():
        return False
    try:
        now_there = _holder(int(rest))
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return False
    # The start of a process is told relative to the machine's clock, which may be set meanwhile.
    moved = abs(float(now_there.rpartition(":")[2]) - float(holder.rpartition(":")[2]))
    return moved > _CLOCK_STEP_SECONDS


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one that matters: having been deposed explains all others."""
    deposed = group.subgroup(DeposedError)
    found: BaseException = deposed or group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found


def _has_work(workload: Workload) -> bool:
    """Without news from the engine, these are the ones that something can be done for."""
    if workload.desired is Desired.STOPPED:
        return True
    return workload.status is Status.PLACED or (
        workload.status is Status.STARTING and workload.handle is None
    )


def _reason(said: str, otherwise: Reason | None) -> Reason | None:
    try:
        return Reason(said)
    except ValueError:
        return otherwise
