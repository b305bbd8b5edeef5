"""One kernel as this gateway sees it: its row, its link to its shim, and who is connected."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import zmq
from teamhub_shim.protocol import State

from teamhub import request_id
from teamhub.config import Config
from teamhub.errors import NotFoundError, RefusedError, StoreError
from teamhub.gateway import answers, schemas, wire
from teamhub.gateway.link import Keys, Link
from teamhub.logs import about, of_workload
from teamhub.model import Deaths, Status, Workload
from teamhub.store import Store

log = logging.getLogger("teamhub.gateway.kernel")

_GREETING_SECONDS = 10.0
_DEATHS = 2**31
"""So many do not fit the database."""
_EXIT_CHARACTERS = 300
_REPORT_SECONDS = 1.0
_RESTART_SECONDS = 120.0
_STATUSES = tuple(Status)
_ASKERS = 1000
"""How many of its clients' sessions a kernel remembers, to send replies to whoever asked."""


class Client(Protocol):
    """Somebody at the other end of a websocket."""

    session: str

    def deliver(self, channel: str, parts: wire.Parts, number: int = 0) -> None:
        """Send a message, `number` its place in the journal. Returns at once, never raises."""

    def end(self, reason: str) -> None:
        """Close the websocket; `reason` is for a person. Returns at once."""


class Kernel:
    """One kernel: its row, its link, and who is connected.

    Messages towards it go straight to the shim once the kernel has answered that and what waited
    before has been delivered; until then they wait in the store. Where none could be started they
    are answered here, and nobody with an open websocket is told `dead`: stock clients would drop
    the connection, and with it the cell that shows why and the means to restart. The REST model
    says it.
    """

    def __init__(self, workload: Workload, config: Config, store: Store) -> None:
        self.workload = workload
        self.state: State | None = None
        self.link: Link | None = None
        self.clients: dict[str, Client] = {}
        self._askers: OrderedDict[str, Client] = OrderedDict()
        self._config = config
        self._store = store
        self._linked = asyncio.Event()
        self._ready = asyncio.Event()
        self._lock = asyncio.Lock()
        self._report: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def _direct(self) -> bool:
        """Whether messages go straight to the shim."""
        return self._linked.is_set()

    @property
    def execution_state(self) -> str:
        """The kernel's state as Jupyter names it."""
        if self.workload.status.ended:
            return "dead"
        if self.state is not None:
            return self.state.execution_state
        # Until the shim has been asked, what was last known; nothing is known of one that starts.
        running = self.workload.status is Status.RUNNING
        return self.workload.execution_state if running else "starting"

    @property
    def model(self) -> schemas.Kernel:
        """The kernel as `/api/kernels` shows it."""
        workload = self.workload
        last = workload.last_activity_at or workload.created_at
        if self.state is not None:
            last = datetime.fromtimestamp(self.state.last_activity, UTC)
        model: schemas.Kernel = {
            "id": workload.id,
            "name": workload.name,
            "last_activity": last.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "execution_state": self.execution_state,
            "connections": len(self.clients),
        }
        if workload.status is not Status.RUNNING:
            model["status"] = workload.status.value
            model["detail"] = workload.detail
        if workload.status.ended:
            model["reason"] = workload.reason.value if workload.reason else None
        return model

    # Clients

    async def connect(self, client: Client) -> None:
        """Let a client take part. Of two with one session, the newer one stays."""
        older = self.clients.get(client.session)
        self.clients[client.session] = client
        if older is not None:
            older.end("another connection with this session took over")
        async with self._lock:
            if self._direct:
                await self._attach(client)
            elif self.workload.status.ended:
                await self._answer_waiting()
            elif self.execution_state == "starting":
                client.deliver("iopub", answers.status("starting"))

    async def disconnect(self, client: Client) -> None:
        """Let a client go; its place is kept by the shim. Of one that is gone: nothing."""
        for session in [s for s, asker in self._askers.items() if asker is client]:
            del self._askers[session]
        if self.clients.get(client.session) is not client:
            return
        del self.clients[client.session]
        if self._direct and self.link is not None:
            with contextlib.suppress(RefusedError, TimeoutError):
                await self.link.call("detach", session=client.session)

    def arrived(self, client: Client, number: int) -> None:
        """Tell the shim how far a client has got, so that its return goes on after that.

        Args:
            number: of the last journal message that it has.
        """
        if self.link is not None and self.clients.get(client.session) is client:
            self.link.acknowledge(number, client.session)

    async def receive(self, client: Client, message: wire.ClientMessage) -> None:
        """Take a message for the kernel: to the shim, to the store, or answered here.

        Raises:
            RefusedError: too much waits for this kernel already.
            StoreError: it had to wait, and the store cannot be used.
        """
        self._askers[message.session] = client
        self._askers.move_to_end(message.session)
        if len(self._askers) > _ASKERS:
            self._askers.popitem(last=False)
        async with self._lock:
            if self._direct and self.link is not None:
                self.link.send(message.channel, message.msg_id, message.parts)
            elif self.workload.status.ended:
                await self._answer_failure(message.channel, message.parts, [client])
            elif not await self._known_answer(client, message):
                await self._store.waiting.add(
                    self.workload.id,
                    message.msg_id,
                    message.channel,
                    message.parts,
                    limit_messages=self._config.gateway.waiting_messages_per_kernel,
                    limit_bytes=self._config.gateway.waiting_bytes_per_kernel,
                )

    async def interrupt(self) -> None:
        """Interrupt what runs; where nothing runs yet, what waits to run is answered so.

        Raises:
            RefusedError: the shim says why it could not, or cannot be reached.
            TimeoutError: it did not answer.
        """
        if not self._direct and self.workload.status is not Status.RUNNING:
            async with self._lock:
                # Whoever held the lock may have handed what waited to the shim just now.
                if not self._direct:
                    await self._answer_interrupted()
                    return
        await (await self._reached()).call("interrupt")

    async def restart(self) -> None:
        """Restart in place. One that is only starting is left to start; an ended one starts anew.

        Raises:
            RefusedError: the shim says why it could not, or cannot be reached.
            TimeoutError: the new kernel process did not come.
        """
        if self.workload.status.ended:
            self.update(await self._store.workloads.start_again(self.workload.id))
        elif self._direct or self.workload.status is Status.RUNNING:
            await (await self._reached()).call("restart", timeout_seconds=_RESTART_SECONDS)

    # What the store says

    def update(self, workload: Workload) -> None:
        """Take in a row as the store has it now. A second time, or an older row: nothing."""
        if _progress(workload) < _progress(self.workload):
            return
        before, self.workload = self.workload, workload
        if workload.attempt != before.attempt:
            self._unlink()
        if workload.status.ended:
            if not before.status.ended:
                self._spawn(self._ended())
            return
        if self.link is None and workload.address is not None and workload.public_key is not None:
            self._spawn(self._wait_for_link(workload))

    def open_link(self, context: zmq.Context[Any], keys: Keys) -> None:
        """Say with what links are made; called once, before the first `update`."""
        self._context, self._keys = context, keys

    def close(self) -> None:
        """Let go of the link; the kernel goes on. A second call does nothing."""
        self._unlink()
        for task in self._tasks:
            task.cancel()
        if self._report is not None:
            self._report.cancel()
            self._report = None

    # The link

    async def _wait_for_link(self, workload: Workload) -> None:
        if self.link is not None:
            return
        assert workload.address is not None
        assert workload.public_key is not None
        link = Link(
            self._context,
            f"tcp://{workload.address}",
            workload.public_key,
            self._keys,
            on_message=self._message,
            on_state=self._state,
            on_detached=self._detached,
        )
        self.link = link
        self._ready = asyncio.Event()
        while self.link is link:
            try:
                await link.greeted(_GREETING_SECONDS)
                await self._until_ready(link)
                async with self._lock:
                    if self.link is link and self._ready.is_set():
                        for client in list(self.clients.values()):
                            await self._attach(client)
                        await self._deliver_waiting(link)
                        if self.link is link:
                            self._linked.set()
                            log.info("linked to the shim of kernel %s", workload.id)
                await link.lost()
                async with self._lock:
                    if self.link is not link:
                        return
                    log.warning("the link to kernel %s was lost; linking anew", workload.id)
                    self._unlink()
                self._spawn(self._wait_for_link(workload))
                return
            except TimeoutError:
                log.warning("the shim of kernel %s does not answer yet", workload.id)
            except (RefusedError, StoreError) as error:
                log.warning("kernel %s: %s; trying again", workload.id, error)
                await asyncio.sleep(_REPORT_SECONDS)

    async def _reached(self) -> Link:
        """Return the link, also where it is only being made, as after a restart of ours.

        Raises RefusedError where it does not come.
        """
        try:
            async with asyncio.timeout(_GREETING_SECONDS):
                await self._linked.wait()
        except TimeoutError:
            raise RefusedError("the kernel cannot be reached at the moment; try again") from None
        if self.link is None:
            raise RefusedError("the kernel has just ended")
        return self.link

    async def _until_ready(self, link: Link) -> None:
        """Return once the kernel has answered its shim, or the link is good for nothing more.

        A kernel that fails before takes nothing along: what waits is still there to be answered.
        """
        tasks = [asyncio.ensure_future(self._ready.wait()), asyncio.ensure_future(link.lost())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    async def _deliver_waiting(self, link: Link) -> None:
        """Hand over what waited. Forgotten only once the shim has it, which drops repeats."""
        while messages := await self._store.waiting.of(self.workload.id):
            for message in messages:
                link.send(message.channel, message.msg_id, message.frames)
            await link.call("sync")
            await self._store.waiting.delete(self.workload.id, messages[-1].number)

    async def _attach(self, client: Client) -> None:
        assert self.link is not None
        found = await self.link.call("attach", session=client.session)
        if found.get("missed"):
            log.warning(
                "kernel %s: session %s missed %d messages, which no longer fit the journal",
                self.workload.id,
                client.session,
                found["missed"],
            )

    def _unlink(self) -> None:
        if self.link is not None:
            self.link.close()
        self.link = None
        self.state = None
        self._linked.clear()
        self._ready.set()  # whoever waits for it looks at the link first

    def _message(self, number: int, session: str, channel: str, parts: Sequence[bytes]) -> None:
        if session:
            clients = [self.clients[session]] if session in self.clients else []
        else:
            clients = list(self.clients.values())
        if channel != "iopub":
            asker = self._asker_of(parts)
            clients = [client for client in clients if client is asker]
        for client in clients:
            client.deliver(channel, parts, number)

    def _asker_of(self, parts: Sequence[bytes]) -> Client | None:
        """A reply goes to whoever asked: by the session in the header it answers."""
        session = wire.parent_session(parts)
        asker = self._askers.get(session) or self.clients.get(session)
        if asker is None and len(self.clients) == 1:
            # A client that came back after a restart of ours, and has not asked anew.
            return next(iter(self.clients.values()))
        return asker

    def _state(self, state: State) -> None:
        self.state = state
        if state.kernel_info is not None:
            self._ready.set()
            if self.workload.environment is not None:
                self._spawn(self._learn(self.workload.environment, state.kernel_info))
        if self._report is None:
            loop = asyncio.get_running_loop()
            self._report = loop.call_later(_REPORT_SECONDS, self._report_activity)

    def _report_activity(self) -> None:
        self._report = None
        if self.state is not None and not self.workload.status.ended:
            last = datetime.fromtimestamp(self.state.last_activity, UTC)
            self._spawn(
                self._store.workloads.report_activity(
                    self.workload.id, self.state.execution_state, last, deaths_of(self.state)
                )
            )

    async def _learn(self, environment: str, kernel_info: Mapping[str, Any]) -> None:
        await self._store.facts.learn(self.workload.owner, environment, kernel_info)

    def _detached(self, session: str) -> None:
        client = self.clients.pop(session, None)
        if client is not None:
            client.end("another connection with this session took over")

    # Answers of our own

    async def _known_answer(self, client: Client, message: wire.ClientMessage) -> bool:
        """Answer `kernel_info_request` at once from what kernels of this environment said."""
        if message.msg_type != "kernel_info_request" or self.workload.environment is None:
            return False
        known = await self._store.facts.kernel_info(self.workload.owner, self.workload.environment)
        if known is None:
            return False
        self._answer(message.channel, message.parts, [client], known)
        return True

    async def _ended(self) -> None:
        async with self._lock:
            state = self.state.execution_state if self.state is not None else ""
            told = self._direct and state == "dead"
            self._unlink()
            await self._answer_waiting()
            stopped = self.workload.status is Status.STOPPED
            for client in list(self.clients.values()):
                if not told and (stopped or self.workload.started_at is not None):
                    client.deliver("iopub", answers.status("dead"))
                if stopped:
                    client.end("the kernel was stopped")

    async def _answer_waiting(self) -> None:
        """Tell everybody who waits why the kernel ended."""
        if not self.clients:
            if self.workload.status is Status.STOPPED:
                await self._store.waiting.delete_all(self.workload.id)  # nobody can come any more
            return  # the messages stay in the store until somebody is there to be told
        for message in await self._store.waiting.of(self.workload.id):
            clients = list(self.clients.values())
            await self._answer_failure(message.channel, message.frames, clients)
            await self._store.waiting.delete(self.workload.id, message.number)

    async def _answer_interrupted(self) -> None:
        for message in await self._store.waiting.of(self.workload.id):
            # Only what would run: a kernel answers the rest, interrupted or not.
            if wire.msg_type_of(message.frames) == "execute_request":
                clients = list(self.clients.values())
                self._answer(message.channel, message.frames, clients, answers.interrupted())
                await self._store.waiting.delete_one(message.number)

    async def _answer_failure(
        self, channel: str, request: wire.Parts, clients: Sequence[Client]
    ) -> None:
        """Say why there is no kernel; but clients go on to run cells only with `kernel_info`."""
        content = answers.failure(self.workload)
        failed = self.workload.status is Status.FAILED
        if failed and wire.msg_type_of(request) == "kernel_info_request":
            content = await self._kernel_info() or content
        self._answer(channel, request, clients, content)

    async def _kernel_info(self) -> Mapping[str, Any] | None:
        name = self.workload.environment
        if name is None or name not in self._config.environments:
            return None  # it was taken out of the settings
        known = await self._store.facts.kernel_info(self.workload.owner, name)
        return known or answers.assumed_kernel_info(self._config.environment(name))

    def _answer(
        self,
        channel: str,
        request: wire.Parts,
        clients: Sequence[Client],
        content: Mapping[str, Any],
    ) -> None:
        """Answer a request as a kernel would: the reply to whoever asked, the rest to all."""
        asker = self._asker_of((b"", request[0]))
        for client in clients:
            for kind, parts in answers.answer(channel, request, content):
                if kind == "iopub" or asker is None or client is asker:
                    client.deliver(kind, parts)

    def _spawn(self, work: Any) -> None:
        async def safely() -> None:
            with about(**of_workload(self.workload)):
                try:
                    await work
                except (StoreError, NotFoundError) as error:
                    log.warning("kernel %s: %s", self.workload.id, error)

        # The work outlives the request that began it, and with it the callbacks that it sets up.
        task = asyncio.create_task(safely(), context=request_id.outside())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _progress(workload: Workload) -> tuple[int, int]:
    """How far a row has come. It never goes back, so of two readings the later one is known."""
    return workload.attempt, _STATUSES.index(workload.status)


def deaths_of(state: State) -> Deaths | None:
    """Return what a shim says of processes that died, None where it says nothing of use.

    The shim is a member's process: what it says is made fit for a database and a terminal.
    """
    number, last_exit, at = state.deaths, state.last_exit, state.last_exit_at
    if type(number) is not int or not isinstance(last_exit, str) or type(at) not in {int, float}:
        return None
    try:
        moment = datetime.fromtimestamp(at or 0, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    if not 0 < number < _DEATHS:
        return None
    said = "".join(c if c.isprintable() else "?" for c in last_exit[:_EXIT_CHARACTERS])
    return Deaths(number, said, moment)
