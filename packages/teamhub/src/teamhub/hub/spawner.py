"""The one spawner: it wants a notebook server, and waits for the dispatcher to have it running.

What it wants is a row of the store, as for a kernel. JupyterHub keeps the row's id as the
spawner's state from before the row exists, so a hub that is killed at any moment finds its servers
again, also one that was just starting.
"""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from jupyterhub.spawner import Spawner
from sqlalchemy.orm import object_session
from tornado import web
from traitlets import default

from teamhub.errors import RefusedError, StoreError, TeamhubError
from teamhub.hub.failures import failed_start, server_failure
from teamhub.hub.pages.signed_in import sentence
from teamhub.hub.process import HubProcess, current
from teamhub.hub.sizes import choices, chosen, form, size_to_start
from teamhub.model import Kind, Status, Workload
from teamhub.store import Store
from teamhub.store.database import now

TOKEN_VARIABLE = "JUPYTERHUB_API_TOKEN"  # noqa: S105  the name of one
STOP_MARGIN_SECONDS = 20.0
"""What stopping may take longer than the time in which a workload should end by itself."""

_LOOK_AGAIN_SECONDS = 2.0


class WorkloadSpawner(Spawner):  # type: ignore[misc]
    """A user's notebook server, as a workload of kind `server`."""

    def __init__(self, **settings: Any) -> None:
        self.workload_id = ""
        self._previous_stops = False
        super().__init__(**settings)

    # State

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take up what `get_state` returned before the hub restarted."""
        super().load_state(state)
        self.workload_id = state.get("workload_id", "")

    def get_state(self) -> dict[str, Any]:
        """Return the id of the workload, which is all that there is to know."""
        state: dict[str, Any] = super().get_state()
        if self.workload_id:
            state["workload_id"] = self.workload_id
        return state

    def clear_state(self) -> None:
        """Forget the workload."""
        super().clear_state()
        self.workload_id = ""

    # What may be chosen

    @default("options_form")
    def _options_form(self) -> Any:
        """A form where there is something to choose; without one a server starts at once."""
        return _size_form if choices(current().config) else ""

    @default("options_from_form")
    def _options_from_form(self) -> Any:
        return _options_from_form

    # What JupyterHub asks for

    async def start(self) -> str:
        """Want a server, wait until it runs, and return its URL.

        A living server of this name, of which the hub has lost track, is stopped first: the token
        that it was given is not the one that the hub has made now.

        Raises:
            SpawnException: it did not start; its text for the user says why.
        """
        here = current()
        try:
            store = await here.store()
            await self._end_previous(here, store)
            workload = await self._want(here, store)
            deadline = _after(here.config.servers.start_timeout_seconds)
            found = await self._wait(store, workload.id, _is_up_or_ended, deadline)
        except StoreError as error:
            self.log.error("Not starting %s's server: %s", self.user.name, error)
            raise server_failure(
                "the database is not there; try again soon", "store", status_code=503
            ) from None
        if found is None:
            raise server_failure("its record has been removed", "removed")
        if found.status is Status.RUNNING and found.address is not None:
            return f"http://{found.address}"
        if found.status.ended or found.status is Status.RUNNING:
            raise failed_start(found)
        raise server_failure(await self._why_not_yet(here, store, found), "timeout-in-queue")

    async def stop(self, now: bool = False) -> None:
        """Want the server to stop and wait until it has ended. A second call does the same.

        Raises:
            TeamhubError: it has not ended in time; the dispatcher goes on with it.
        """
        if not self.workload_id:
            return
        here = current()
        store = await here.store()
        await store.workloads.want_stopped(self.workload_id)
        if not await self._ended(here, store, self.workload_id):
            raise TeamhubError(
                f"{self.user.name}'s notebook server has not ended yet; it will when the "
                "dispatcher gets to it"
            )

    async def poll(self) -> int | None:
        """Return None while the server has not ended, else an exit status.

        A database that cannot be asked is no news of the server: None.
        """
        if not self.workload_id:
            return None if self._start_pending else 0
        try:
            workload = await (await current().store()).workloads.get(self.workload_id)
        except StoreError as error:
            self.log.warning("Taking %s's server to be up: %s", self.user.name, error)
            return None
        if workload is None:
            return None if self._start_pending else 0
        if not workload.status.ended:
            return None
        return 1 if workload.status is Status.FAILED else 0

    async def get_url(self) -> str:
        """Return where the server is, after waiting for one that is just starting.

        The hub asks when it has restarted. Never raises: where nothing is known, what the hub
        knows is returned.
        """
        known: str = self.server.url
        here = current()
        try:
            store = await here.store()
            deadline = _after(here.config.servers.start_timeout_seconds)
            found = await self._wait(store, self.workload_id, _is_up_or_ended, deadline)
        except StoreError:
            return known
        if found is None or found.address is None:
            return known
        url = f"http://{found.address}"
        same = urlsplit(known)[:2] == urlsplit(url)[:2]
        return known if same else url + urlsplit(known).path

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """Yield what becomes of the server, for the page that waits for it."""
        store = await current().store()
        told = None
        with store.subscribe() as wakes:
            while True:
                workload = None
                if self.workload_id:
                    try:
                        workload = await store.workloads.get(self.workload_id)
                    except StoreError:
                        await wakes.wait(_LOOK_AGAIN_SECONDS)
                        continue
                event = self._event(workload)
                if event is not None and event != told:
                    told = event
                    yield dict(event)
                if workload is not None and _is_up_or_ended(workload):
                    return
                await wakes.wait(_LOOK_AGAIN_SECONDS)

    def get_env(self) -> dict[str, str]:
        """Return the server's environment: JupyterHub's variables, ours, and configured ones.

        What describes the machine (PATH, HOME, LANG, …) is added where it is launched, as the
        hub does not know that machine. Nothing of the hub's own environment is passed on.
        """
        given: dict[str, str] = super().get_env()
        env = {
            name: value
            for name, value in given.items()
            if name.startswith("JUPYTERHUB_") or name in self.environment
        }
        env.setdefault("TEAMHUB_GATEWAY_URL", current().deployment.gateway_url())
        return env

    # How

    async def _want(self, here: HubProcess, store: Store) -> Workload:
        config = here.config
        env = self.get_env()
        # Whoever configured a variable may have meant a secret: out of the record, as the token.
        secret_names = {TOKEN_VARIABLE, *self.environment}
        self.workload_id = str(uuid.uuid4())
        self._keep_state()
        try:
            return await store.workloads.add(
                Kind.SERVER,
                self.user.name,
                self.name,
                size=size_to_start(config, self.user_options or {}),
                spec={
                    "argv": list(config.servers.argv or (sys.executable, "-m", "teamhub_notebook")),
                    "env": {k: v for k, v in env.items() if k not in secret_names},
                    "working_dir": str(config.home_of(self.user.name)),
                },
                secrets={k: v for k, v in env.items() if k in secret_names},
                workload_id=self.workload_id,
            )
        except RefusedError as error:
            raise server_failure(str(error), "refused") from None

    def _keep_state(self) -> None:
        """Have the hub keep the id before the row exists; by itself it does so after the start."""
        self.orm_spawner.state = self.get_state()
        session = object_session(self.orm_spawner)
        if session is not None:
            session.commit()

    async def _end_previous(self, here: HubProcess, store: Store) -> None:
        previous = await store.workloads.server(self.user.name, self.name)
        if previous is None:
            return
        self.log.info("Stopping %s's previous server %s", self.user.name, previous.id)
        self._previous_stops = True
        try:
            await store.workloads.want_stopped(previous.id)
            if not await self._ended(here, store, previous.id):
                raise server_failure(
                    "the previous one has not stopped yet; try again in a minute", "previous"
                )
        finally:
            self._previous_stops = False

    async def _ended(self, here: HubProcess, store: Store, workload_id: str) -> bool:
        deadline = _after(here.config.dispatcher.stop_timeout_seconds + STOP_MARGIN_SECONDS)
        found = await self._wait(store, workload_id, lambda one: one.status.ended, deadline)
        return found is None or found.status.ended

    async def _wait(
        self, store: Store, workload_id: str, until: Callable[[Workload], bool], deadline: float
    ) -> Workload | None:
        """Return a workload once that holds of it, else what it is at the deadline.

        A database that is away for a moment is waited for. Raises StoreError if it is still away
        at the deadline.
        """
        with store.subscribe() as wakes:
            while True:
                left = deadline - _after(0)
                try:
                    workload = await store.workloads.get(workload_id)
                except StoreError:
                    if left <= 0:
                        raise
                else:
                    if workload is None or until(workload) or left <= 0:
                        return workload
                await wakes.wait(min(max(left, 0.0), _LOOK_AGAIN_SECONDS))

    async def _why_not_yet(self, here: HubProcess, store: Store, workload: Workload) -> str:
        held = await store.lease.held()
        silent = timedelta(seconds=here.config.dispatcher.lease_seconds)
        if held is None or not held.holder or now() - held.heartbeat_at > silent:
            return "the dispatcher is not running, which starts it; tell your administrator"
        event = self._event(workload)
        state = event["message"] if event else workload.status.value
        seconds = here.config.servers.start_timeout_seconds
        return f"it was not up within {seconds:g} s: {state[:1].lower()}{state[1:]}"

    def _event(self, workload: Workload | None) -> dict[str, Any] | None:
        """Return what to show of a workload, None for nothing new."""
        if workload is None:
            if self._previous_stops:
                return {"progress": 5, "message": "Waiting for your previous server to stop"}
            return None
        node = f" on {workload.node}" if workload.node else ""
        why = f": {workload.detail}" if workload.detail else ""
        match workload.status:
            case Status.QUEUED:
                return {"progress": 10, "message": f"Queued{why}"}
            case Status.PLACED:
                return {"progress": 30, "message": f"Placed{node}"}
            case Status.STARTING:
                return {"progress": 50, "message": f"Starting{node}"}
            case Status.RUNNING:
                return {"progress": 90, "message": f"Running{node}, waiting for its first answer"}
            case Status.STOPPING:
                return {"progress": 95, "message": "Stopping"}
            case _:
                return None


def _size_form(_: Spawner) -> str:
    return form(choices(current().config))


class _RefusedOptions(web.HTTPError):
    """What a form chose is not on offer."""

    def __init__(self, message: str) -> None:
        super().__init__(400, message)
        # What the spawn page shows of an error.
        self.jupyterhub_message = message


def _options_from_form(fields: Mapping[str, Any]) -> dict[str, str]:
    try:
        return chosen(current().config, fields)
    except RefusedError as error:
        raise _RefusedOptions(sentence(str(error))) from None


def _is_up_or_ended(workload: Workload) -> bool:
    return workload.status.ended or (
        workload.status is Status.RUNNING and workload.address is not None
    )


def _after(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds
