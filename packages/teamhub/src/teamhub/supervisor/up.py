"""`teamhub up`: brings a deployment up, keeps it up, and ends it with all that it started."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol

from teamhub import clock
from teamhub.accounts import account_name, add_user
from teamhub.deployment import Deployment, unusable
from teamhub.engines import border
from teamhub.errors import AccountError, ConfigError, StoreError, TeamhubError
from teamhub.logs.rotation import rotate_all
from teamhub.logs.writing import into_file
from teamhub.model import Desired
from teamhub.operator import Operator
from teamhub.store import Store, migrate
from teamhub.supervisor import apply, record
from teamhub.supervisor.children import Identity, Program, end_sessions
from teamhub.supervisor.ending import end_workloads, free_lease, store_is_ours_alone
from teamhub.supervisor.keeper import Keeper, Patience
from teamhub.supervisor.lock import UpLock
from teamhub.supervisor.origin import Origin
from teamhub.supervisor.port import public_port_held
from teamhub.supervisor.programs import GATEWAY, PROXY, programs
from teamhub.supervisor.readiness import Checks, Readiness
from teamhub.supervisor.requests import Requests, Wish
from teamhub.supervisor.terminal import Terminal

START_SECONDS = 120
"""How long it may take until people can sign in."""

CHILD_STOP_SECONDS = 10
"""How long hub, proxy and gateway have to end before they are killed."""

_DRAIN_MARGIN_SECONDS = 20
_LIVES_WHILE_STARTING = 3
_CHECK_SECONDS = 0.2
_SAY_EVERY_SECONDS = 15
_STATE_CHECK_SECONDS = 1.0
_ROTATE_SECONDS = 5.0

log = logging.getLogger("teamhub.supervisor")


class Probe(Protocol):
    """Something that can say what does not work yet."""

    async def check(self) -> Readiness:
        """Return what works now. Never raises."""


class Supervisor:
    """One run of a deployment in the foreground.

    Args:
        deployment: what to run.
        terminal: whom to tell.
        as_json: print what is for programs to read as one JSON object.
        table: what to run, asked once the ports are known; given in tests.
        probe: what says that it is ready; given in tests.
        patience: how often programs that end are started again.
        origin: where the settings come from, so that they can be read again.
    """

    def __init__(
        self,
        deployment: Deployment,
        terminal: Terminal,
        *,
        as_json: bool = False,
        table: Callable[[Deployment], Sequence[Program]] = programs,
        probe: Probe | None = None,
        patience: Patience | None = None,
        origin: Origin | None = None,
    ) -> None:
        self._deployment = deployment
        self._config = deployment.config
        self._terminal = terminal
        self._as_json = as_json
        self._table = table
        self._probe = probe
        self._patience = patience
        self._origin = origin
        self._store: Store | None = None
        self._keepers: dict[str, Keeper] = {}
        self._keeping: dict[str, asyncio.Task[None]] = {}
        self._up_since: datetime | None = None

    async def run(self) -> None:
        """Run until somebody asks for the end, and return when everything has ended.

        Raises:
            AlreadyRunningError: another does; nothing was changed.
            ConfigError: a setting cannot be followed.
            TeamhubError: it did not come up (everything that was started has been ended, and
                workloads of an earlier run were left alone), or something could not be ended.
        """
        me = asyncio.current_task()
        assert me is not None
        lock = UpLock(self._deployment)
        try:
            # Before the lock, which tells others whom to send signals.
            with Requests(abandon=lambda: _cancel(me)) as requests:
                lock.take()
                log_file = self._deployment.log_file("supervisor")
                with into_file("supervisor", self._config.logs.level, log_file):
                    await self._run(requests)
        except asyncio.CancelledError:
            raise TeamhubError(
                "ended at once, and not everything has ended; `teamhub down` ends the rest"
            ) from None
        finally:
            self._terminal.quiet()
            if self._store is not None:
                await self._store.close()
            lock.release()

    async def _run(self, requests: Requests) -> None:
        coming_up = asyncio.create_task(self._start())
        rotating = asyncio.create_task(self._rotate_logs())
        try:
            await _first(coming_up, requests.asked.wait())
            if coming_up.done():
                coming_up.result()
                await self._supervise(requests)
        except BaseException as error:
            if isinstance(error, TeamhubError):
                log.error("%s", error)
            # It failed, and not because somebody asked: what ran before us is left alone.
            await self._end_processes(hasten=requests.hasten)
            raise
        finally:
            coming_up.cancel()
            rotating.cancel()
            await asyncio.wait([coming_up, rotating])
        await self._stop(requests)

    # Coming up

    async def _start(self) -> None:
        first_uid, why = border.first_uid(self._config)
        self._tighten_secrets()
        self._terminal.progress("opening the database")
        await migrate.upgrade(self._config.store_url())
        # Only now: settings that come to nothing are not those in force.
        self._prepare()
        store = Store.of(self._deployment)
        self._store = store
        await store.open()
        if said := clock.went_back(datetime.now(UTC), await store.newest_moment()):
            self._terminal.say(said)
        admin = self._administrator()
        await self._end_left_over(store)
        with public_port_held(self._config.proxy):
            self._deployment.ports(fresh=True)
        for program in self._table(self._deployment):
            self._keep(program, store)
        await self._until_ready()
        self._up_since = datetime.now(UTC)
        self._note()
        account = await store.accounts.get(admin)
        # Made only now: had the start failed before, nobody would have read the password.
        password = await add_user(store, admin, admin=True) if account is None else None
        log.info("ready: %s", self._deployment.public_url())
        self._announce(admin, password)
        if first_uid is None and self._config.engine.name == "process":
            self._terminal.say(
                f"members are not kept apart ({why}): for a trial only; see `teamhub doctor`"
            )
        if account is not None and account.one_time:
            self._terminal.say(
                f"the administrator {admin} has not signed in yet; "
                f"`teamhub users reset {admin}` gives a new one-time password"
            )

    def _prepare(self) -> None:
        self._deployment.prepare()
        try:
            if self._origin is not None:
                self._origin.note(self._deployment)
        except OSError as error:
            raise unusable(error, self._deployment.data_dir) from None
        apply.tidy(self._deployment, older_than_seconds=0)

    def _tighten_secrets(self) -> None:
        if opened := self._deployment.tighten_secrets():
            names = ", ".join(path.name for path in opened)
            self._terminal.say(
                f"others could read in {self._deployment.secrets_dir}: {names}. They no longer "
                "can; if somebody may have, remove these files: `teamhub up` makes new ones"
            )

    def _administrator(self) -> str:
        try:
            return account_name(self._config.hub.admin)
        except AccountError as error:
            raise ConfigError(f"hub.admin: {error}") from None

    async def _end_left_over(self, store: Store) -> None:
        found = record.left_over(self._deployment)
        if found:
            self._terminal.progress("ending what an earlier team server that was killed has left")
        if stuck := await end_sessions(found, CHILD_STOP_SECONDS):
            raise TeamhubError(
                f"processes of an earlier team server cannot be ended: {_numbers(stuck)}; "
                "end them, then try again"
            )
        await self._free_lease(store)

    async def _free_lease(self, store: Store) -> None:
        """The dispatcher has ended, however it did: the next one need not wait for its lease."""
        if store_is_ours_alone(self._config):
            with contextlib.suppress(StoreError):
                await free_lease(store)

    def _keep(self, program: Program, store: Store) -> None:
        keeper = Keeper(
            program,
            self._deployment.log_file(program.name),
            self._deployment.data_dir,
            self._terminal,
            self._note,
            between=partial(self._free_lease, store) if program.name == GATEWAY else None,
            started_again=self._put_routes_back if program.name == PROXY else None,
            patience=self._patience,
        )
        self._keepers[program.name] = keeper
        self._keeping[program.name] = asyncio.create_task(keeper.run())

    def _note(self) -> None:
        record.write(
            self._deployment,
            {name: keeper.record for name, keeper in self._keepers.items()},
            self._up_since,
        )

    async def _until_ready(self, working: Callable[[str], None] | None = None) -> None:
        begin = time.monotonic()
        deadline = begin + START_SECONDS
        async with contextlib.AsyncExitStack() as stack:
            probe = self._probe
            if probe is None:
                probe = await stack.enter_async_context(Checks(self._deployment))
            while True:
                readiness = await probe.check()
                if readiness.ready:
                    return
                (working or self._terminal.progress)(self._starting(readiness, begin))
                for keeper in self._keepers.values():
                    if keeper.failures >= _LIVES_WHILE_STARTING:
                        how = f"ends each time it is started ({keeper.record.last_exit})"
                        raise TeamhubError(_failed(keeper, how))
                if time.monotonic() > deadline:
                    name, why = next(iter(readiness.problems.items()))
                    how = f"did not come up within {START_SECONDS} s: {why}"
                    raise TeamhubError(_failed(self._keepers[name], how))
                await asyncio.sleep(_CHECK_SECONDS)

    def _starting(self, readiness: Readiness, begin: float) -> str:
        waited = int(time.monotonic() - begin) // _SAY_EVERY_SECONDS * _SAY_EVERY_SECONDS
        since = f", for {waited} s of at most {START_SECONDS}" if waited else ""
        if PROXY in readiness.problems:
            return f"starting the proxy, the hub and the gateway{since}"
        waiting = [self._keepers[n].program.title for n in readiness.problems if n in self._keepers]
        return f"waiting for {' and '.join(waiting)}{since}"

    def _announce(self, admin: str, password: str | None) -> None:
        url = self._deployment.public_url()
        if self._as_json:
            told = {"ready": url}
            if password is not None:
                told |= {"administrator": admin, "one_time_password": password}
            self._terminal.result(json.dumps(told))
            return
        lines = [f"teamhub is ready: {url}"]
        if password is not None:
            lines += [f"administrator: {admin}", f"one-time password: {password}"]
        # In one piece: who has read the first line finds the others there.
        self._terminal.result("\n".join(lines))
        if password is not None:
            self._terminal.say("it is shown this once; the first sign-in asks for one of your own")

    # Staying up

    async def _supervise(self, requests: Requests) -> None:
        """Wait until somebody asks for the end. A keeper never ends by itself, but for a fault."""
        asked = asyncio.create_task(requests.asked.wait())
        applying = asyncio.create_task(self._apply_when_asked(requests))
        try:
            done, _ = await asyncio.wait(
                [asked, applying, *self._keeping.values()], return_when=asyncio.FIRST_COMPLETED
            )
            for task in done - {asked}:
                task.result()
        finally:
            asked.cancel()
            applying.cancel()
            await asyncio.wait([applying])

    async def _apply_when_asked(self, requests: Requests) -> None:
        """Apply changed settings whenever somebody asks for it; never ends by itself."""
        while True:
            await requests.reread.wait()
            requests.reread.clear()
            apply.tidy(self._deployment)
            for request_id in apply.pending(self._deployment):
                await self._apply(request_id)

    async def _apply(self, request_id: str) -> None:
        deployment = self._deployment

        def working(what: str) -> None:
            self._terminal.progress(f"new settings: {what}")
            apply.answer(deployment, request_id, apply.Answer(state="working", message=what))

        working("reading them")
        try:
            config, said = await apply.apply(self._origin, deployment, self._restart, working)
        except asyncio.CancelledError:
            ending = apply.Answer(state="failed", message="the team server is ending", exit_code=1)
            apply.answer(deployment, request_id, ending)
            raise
        self._config, self._deployment = config, Deployment(config)
        apply.answer(deployment, request_id, said)
        self._terminal.quiet()
        if said.state == "failed":
            self._terminal.say(f"new settings: {said.message}")
        elif said.changed:
            self._terminal.say(f"new settings are in force: {', '.join(said.changed)}")

    async def _restart(
        self, deployment: Deployment, names: Sequence[str], working: Callable[[str], None]
    ) -> None:
        """Start programs again for a deployment's settings; return when people can sign in."""
        self._config = deployment.config
        table = {program.name: program for program in self._table(deployment)}
        for name in names:
            working(f"restarting {self._keepers[name].program.title}")
            await self._keepers[name].replace(table[name], CHILD_STOP_SECONDS)
        await self._until_ready(working)

    async def _rotate_logs(self) -> None:
        settings = self._config.logs
        while True:
            by_copy = {
                name
                for name, keeper in self._keepers.items()
                if not keeper.program.keeps_to_its_log
            }
            await asyncio.to_thread(
                rotate_all,
                self._deployment.logs_dir,
                keep_bytes=settings.keep_bytes,
                keep_files=settings.keep_files,
                by_copy=by_copy,
            )
            await asyncio.sleep(_ROTATE_SECONDS)

    async def _put_routes_back(self) -> None:
        """A proxy that was started again knows no routes; the hub would look in a minute."""
        async with Operator(self._deployment) as operator:
            while True:
                try:
                    await operator.put_routes_back()
                except TeamhubError:
                    await asyncio.sleep(_CHECK_SECONDS)
                else:
                    return

    # Ending

    async def _stop(self, requests: Requests) -> None:
        log.info("asked to end: %s", requests.wish.value)
        if requests.wish is Wish.PROCESSES:
            self._terminal.progress("ending the proxy, the hub and the gateway")
            await self._end_processes(hasten=requests.hasten)
            left = len(await self._store.workloads.living()) if self._store else 0
            self._terminal.quiet()
            self._terminal.say(
                f"ended; {count_of(left)} left running: `teamhub up` finds them again, "
                "`teamhub down` ends them"
            )
            return
        self._terminal.progress("ending everything (Ctrl-C again: at once)")
        # First those through which people come, so that nothing new is started meanwhile. The
        # gateway stays a little: the dispatcher in it ends what it has started.
        front = [name for name in self._keepers if name != GATEWAY]
        draining = asyncio.create_task(self._drain())
        await self._end_processes(front, hasten=requests.hasten)
        await _first(draining, requests.hasten.wait())
        # A dispatcher that is stuck may hold the database. So it is ended before this is awaited.
        draining.cancel()
        await self._end_processes(hasten=requests.hasten)
        await asyncio.wait([draining])
        drained = not draining.cancelled() and draining.result()
        # Those of an earlier run, where the start was interrupted before it came to them.
        await end_sessions(record.left_over(self._deployment), CHILD_STOP_SECONDS)
        if not drained and self._store is not None:
            await self._end_workloads(self._store, requests)
        self._terminal.quiet()
        self._terminal.say("ended")

    async def _drain(self) -> bool:
        """Have the dispatcher end all workloads; return whether it did."""
        store, gateway = self._store, self._keepers.get(GATEWAY)
        if store is None or gateway is None:
            return False
        try:
            return await self._drained(store, gateway)
        except StoreError as error:
            self._terminal.say(str(error))
            return False

    async def _drained(self, store: Store, gateway: Keeper) -> bool:
        deadline = time.monotonic() + self._drain_seconds()
        with store.subscribe() as changes:
            while True:
                living = await store.workloads.living()
                if not living:
                    return True
                if any(workload.desired is Desired.RUNNING for workload in living):
                    await store.workloads.want_all_stopped()
                self._terminal.progress(f"ending {count_of(len(living))}")
                if time.monotonic() > deadline:
                    return False
                if gateway.child is None and not self._gateway_may_return(gateway):
                    return False
                await changes.wait(_STATE_CHECK_SECONDS)

    def _gateway_may_return(self, gateway: Keeper) -> bool:
        """A dispatcher that died just now is started again at once and goes on."""
        return gateway.failures <= 1 and GATEWAY in self._keeping

    def _drain_seconds(self) -> float:
        return self._config.dispatcher.stop_timeout_seconds + _DRAIN_MARGIN_SECONDS

    async def _end_workloads(self, store: Store, requests: Requests) -> None:
        end = partial(end_workloads, self._config, store, timeout_seconds=self._drain_seconds())
        ending = asyncio.create_task(end(hasten=requests.hasten.is_set()))
        if not requests.hasten.is_set():
            await _first(ending, requests.hasten.wait())
            if not ending.done():
                ending.cancel()
                await asyncio.wait([ending])
                ending = asyncio.create_task(end(hasten=True))
        if left := await ending:
            raise TeamhubError(
                f"{count_of(left)} could not be ended; `teamhub down` tries it again"
            )

    async def _end_processes(
        self, names: Sequence[str] | None = None, *, hasten: asyncio.Event
    ) -> None:
        """Keep them no longer, and end them. With the last of them goes the record."""
        chosen = list(self._keepers) if names is None else list(names)
        leaders: list[Identity] = []
        for name in chosen:
            task = self._keeping.pop(name, None)
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
            leader = self._keepers[name].leader
            if leader is not None:
                leaders.append(leader)
        asked = asyncio.create_task(
            end_sessions(leaders, 0 if hasten.is_set() else CHILD_STOP_SECONDS)
        )
        try:
            await _first(asked, hasten.wait())
        finally:
            asked.cancel()
        if stuck := await end_sessions(leaders, 0):
            # Said, not raised: whatever else is to be ended still is.
            self._terminal.say(f"these processes could not be ended: {_numbers(stuck)}")
        elif self._keepers and not self._keeping:
            record.remove(self._deployment)


def _cancel(task: asyncio.Task[Any]) -> None:
    task.cancel()


async def _first(task: asyncio.Task[Any], other: Coroutine[Any, Any, Any]) -> None:
    """Wait until one of two is done. The task is not cancelled, the other is."""
    second = asyncio.create_task(other)
    try:
        await asyncio.wait([task, second], return_when=asyncio.FIRST_COMPLETED)
    finally:
        second.cancel()


def _failed(keeper: Keeper, how: str) -> str:
    words = keeper.child.last_words() if keeper.child is not None else keeper.last_words
    said = "".join(f"\n    {line}" for line in words.splitlines())
    return f"{keeper.program.title} {how}; its log is {keeper.log}" + (
        f", which ends with:{said}" if said else ""
    )


def count_of(number: int) -> str:
    """Return how many workloads, in words."""
    return (
        "1 kernel or notebook server" if number == 1 else f"{number} kernels and notebook servers"
    )


def _numbers(pids: Sequence[int]) -> str:
    return ", ".join(map(str, pids))
