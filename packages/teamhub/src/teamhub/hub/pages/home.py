"""The home page: a member's notebook servers, kernels and tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from teamhub.config import Config
from teamhub.errors import NotFoundError
from teamhub.hub.pages.listing import FAILED_SHOWN, KernelRow, kernel_rows, server_rows
from teamhub.hub.pages.signed_in import SignedInPage, in_path
from teamhub.hub.pages.tokens import personal_tokens
from teamhub.hub.servers import NAME_RULES, check_new_server, delete_server, stop_server
from teamhub.model import Kind, Workload
from teamhub.store import Store
from teamhub.store.database import now

REFRESH_SECONDS = 4
"""How often a page that is looked at asks for its lists again."""


class HomePage(SignedInPage):
    """What is the member's own, and what they can do with it. Nothing here is another's."""

    actions: ClassVar[dict[str, str]] = {
        "stop-server": "stop_server",
        "delete-server": "delete_server",
        "new-server": "new_server",
        "stop-kernel": "stop_kernel",
    }

    async def show(self, *where: str, fault: str = "") -> None:
        """Write the page, or with `?part=lists` only what changes by itself."""
        user = self.current_user
        if user.running and not user.spawner.pending:
            # One that has died is noticed now, not only at the next poll.
            await user.spawner.poll_and_notify()
        store = await self.store()
        living = await store.workloads.living(owner=self.name)
        servers = server_rows(self.teamhub, user, living, hub_url=self.hub.base_url)
        kernels = await kernels_of(self.teamhub, store, self.name, living)
        limit = self.teamhub.servers.named_per_member
        only_lists = self.get_query_argument("part", "") == "lists" and not fault
        values: dict[str, Any] = {"notice": ""} if only_lists else {}
        await self.page(
            "home_lists.html" if only_lists else "home.html",
            servers=servers,
            kernels=kernels,
            tokens=personal_tokens(self.db, user),
            named_limit=limit,
            named_left=max(limit - (len(servers) - 1), 0),
            name_rules=NAME_RULES,
            new_name=self.field("name")[:100] if fault else "",
            refresh_seconds=REFRESH_SECONDS,
            fault=fault,
            **values,
        )

    async def stop_server(self) -> None:
        """Stop one of the member's notebook servers."""
        name = self.field("name")
        await stop_server(self, self.current_user, name)
        self.log.info("%s has stopped their notebook server %r", self.name, name)
        self.go_to("home", f"{_called(name)} has been stopped. Kernels go on.")

    async def delete_server(self) -> None:
        """Delete one of the member's named notebook servers."""
        name = self.field("name")
        await delete_server(self, self.current_user, name)
        self.log.info("%s has deleted their notebook server %r", self.name, name)
        self.go_to("home", f"{_called(name)} has been deleted. Your files are as they were.")

    async def new_server(self) -> None:
        """Go on to the start of a new named notebook server."""
        name = self.field("name").lower()
        check_new_server(self.current_user, name, self.teamhub.servers.named_per_member)
        self.go_to(f"spawn/{in_path(self.name)}/{in_path(name)}")

    async def stop_kernel(self) -> None:
        """Stop one of the member's kernels, or dismiss one that has failed."""
        workload = await stop_kernel(await self.store(), self.field("kernel"), owner=self.name)
        self.log.info("%s has stopped their kernel %s", self.name, workload.id)
        dismissed = workload.status.ended
        self.go_to("home", "" if dismissed else "The kernel is being stopped.")


async def kernels_of(
    config: Config, store: Store, owner: str, living: Sequence[Workload]
) -> Sequence[KernelRow]:
    """Return a member's kernels as the page shows them, failed ones of the last day included."""
    changed = await store.workloads.changed_since(now() - FAILED_SHOWN, Kind.KERNEL, owner)
    failed = [one for one in changed if one.status.ended]
    workloads = sorted([*living, *failed], key=lambda one: one.created_at)
    return kernel_rows(config, workloads, await store.sessions.of(owner))


async def stop_kernel(store: Store, kernel_id: str, *, owner: str | None) -> Workload:
    """Want a kernel to stop, as its owner's client would, and return what it was.

    Args:
        store: the deployment's.
        kernel_id: whatever somebody says it is.
        owner: whose it has to be; None: anybody's.

    Raises:
        NotFoundError: there is no such kernel, or it is another's.
    """
    workload = await store.workloads.get(kernel_id)
    if (
        workload is None
        or workload.kind is not Kind.KERNEL
        or (owner is not None and workload.owner != owner)
    ):
        raise NotFoundError(f"there is no kernel {kernel_id[:64]!r}")
    await store.workloads.want_stopped(workload.id)
    await store.sessions.delete_of_kernel(workload.id)
    return workload


def _called(name: str) -> str:
    return f"The notebook server {name}" if name else "Your notebook server"
