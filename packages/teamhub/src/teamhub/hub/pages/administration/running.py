"""Administration: what runs of all members, and stopping it. Nobody's contents are seen here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from teamhub.accounts import account_name
from teamhub.config import Config
from teamhub.errors import NotFoundError
from teamhub.hub import servers
from teamhub.hub.pages.administration.page import AdministrationPage
from teamhub.hub.pages.home import stop_kernel
from teamhub.hub.pages.listing import KernelRow, in_utc, kernel_rows, state_of
from teamhub.model import Desired, Kind, Workload
from teamhub.store import Store

__all__ = ["RunningPage", "running_rows", "stop_kernel", "stop_server"]


@dataclass(frozen=True)
class RunningServer:
    """A notebook server of somebody's, as far as an administrator sees it."""

    owner: str
    name: str
    state: str
    kind: str
    node: str
    can_stop: bool
    started: datetime | None


class RunningPage(AdministrationPage):
    """Everything that runs."""

    tab: ClassVar[str] = "running"
    actions: ClassVar[dict[str, str]] = {"stop-server": "stop_server", "stop-kernel": "stop_kernel"}

    async def show(self, *where: str, fault: str = "") -> None:
        """Write the page."""
        wanted = self.get_query_argument("q", "").strip().lower()[:64]
        living = await (await self.store()).workloads.living()
        shown = [one for one in living if wanted in one.owner]
        found, kernels = running_rows(self.teamhub, shown)
        await self.page(
            "administration_running.html",
            servers=found,
            kernels=kernels,
            wanted=wanted,
            fault=fault,
        )

    async def stop_server(self) -> None:
        """Stop a member's notebook server."""
        owner, name = account_name(self.field("owner")), self.field("name")
        await stop_server(self, await self.store(), owner, name)
        self.note_change("has stopped %s's notebook server %r", owner, name)
        self.go_to("administration/running", f"The notebook server of {owner} is being stopped.")

    async def stop_kernel(self) -> None:
        """Stop a member's kernel."""
        workload = await stop_kernel(await self.store(), self.field("kernel"), owner=None)
        self.note_change("has stopped %s's kernel %s", workload.owner, workload.id)
        self.go_to("administration/running", f"The kernel of {workload.owner} is being stopped.")


def running_rows(
    config: Config, living: Sequence[Workload]
) -> tuple[Sequence[RunningServer], Sequence[KernelRow]]:
    """Return the notebook servers and the kernels among these. Paths of notebooks are not shown."""
    found = []
    for one in living:
        if one.kind is Kind.SERVER:
            state, kind = state_of(one)
            found.append(
                RunningServer(
                    owner=one.owner,
                    name=one.name,
                    state=state,
                    kind=kind,
                    node=one.node or "",
                    can_stop=one.desired is Desired.RUNNING,
                    started=in_utc(one.started_at),
                )
            )
    found.sort(key=lambda one: (one.owner, one.name))
    kernels = sorted(kernel_rows(config, living), key=lambda one: one.owner)
    return found, kernels


async def stop_server(handler: Any, store: Store, owner: str, name: str) -> None:
    """Stop a member's notebook server, also one of which the hub has lost track.

    Raises:
        NotFoundError: there is no such server.
        RefusedError: it cannot be stopped just now.
    """
    workload = await store.workloads.server(owner, name)
    user = handler.find_user(owner)
    known = user is not None and name in user.orm_user.orm_spawners
    if workload is None and not known:
        raise NotFoundError(f"{owner} has no notebook server called {name[:40]!r}")
    if known:
        await servers.stop_server(handler, user, name)
    if workload is not None:
        await store.workloads.want_stopped(workload.id)
