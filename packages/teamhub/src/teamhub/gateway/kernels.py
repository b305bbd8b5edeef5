"""All kernels that live, each with a link to its shim, kept equal to the store."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import zmq

from teamhub.config import Config
from teamhub.errors import NotFoundError, StoreError
from teamhub.gateway import wire
from teamhub.gateway.kernel import Kernel
from teamhub.gateway.kernelspecs import Kernelspec
from teamhub.gateway.link import Keys
from teamhub.logs import about, of_workload
from teamhub.model import Desired, Kind, Status, Workload
from teamhub.store import Store
from teamhub.store.database import now

log = logging.getLogger("teamhub.gateway.kernels")

_RETRY_SECONDS = 1.0
_SWEEP_SECONDS = 10.0
_OVERLAP = timedelta(seconds=10)
_FAILED_SHOWN = timedelta(minutes=10)


class Kernels:
    """All kernels that live, kept equal to the store by `run`.

    Args:
        config: the settings.
        store: open, and receiving wake-ups.
        keys: the gateway's own CurveZMQ keys.
    """

    def __init__(self, config: Config, store: Store, keys: Keys) -> None:
        self._config = config
        self._store = store
        self._keys = keys
        self._context: zmq.Context[Any] = zmq.Context()
        self._context.set(zmq.MAX_SOCKETS, 65_000)
        self._kernels: dict[str, Kernel] = {}
        self._wakes = store.subscribe()
        self._since: datetime | None = None

    async def run(self) -> None:
        """Follow the store until cancelled."""
        while True:
            try:
                await self.look()
            except StoreError as error:
                log.warning("the store could not be read: %s", error)
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            except Exception:
                log.exception("a fault of ours; the next look tries again")
            await self._wakes.wait(_SWEEP_SECONDS)

    async def look(self) -> None:
        """Take in what the store says now. Raises StoreError; then the next look sees it all."""
        moment = now()
        if self._since is None:
            for workload in await self._store.workloads.living(Kind.KERNEL):
                self._take_in(workload)
        since = self._since or moment - _FAILED_SHOWN
        for workload in await self._store.workloads.changed_since(since, Kind.KERNEL):
            self._take_in(workload)
        self._since = moment - _OVERLAP
        self._forget()

    def close(self) -> None:
        """Close all links; kernels go on. A second call does nothing."""
        self._wakes.close()
        for kernel in self._kernels.values():
            kernel.close()
        self._context.destroy(linger=1000)

    async def create(
        self,
        owner: str,
        spec: Kernelspec,
        *,
        working_dir: str,
        env: Mapping[str, str],
        kernel_id: str | None = None,
    ) -> Kernel:
        """Want a new kernel; it is answered for at once and starts when there is room.

        Raises:
            RefusedError: the owner has as many as one may have.
        """
        workload = await self._store.workloads.add(
            Kind.KERNEL,
            owner,
            spec.name,
            environment=spec.environment,
            size=spec.size,
            spec={"working_dir": working_dir, "env": dict(env)},
            workload_id=kernel_id,
            limit=self._config.kernels.per_user,
        )
        with about(**of_workload(workload)):
            log.info("kernel %s asked for: %s", workload.id, spec.name)
        return self._take_in(workload)

    async def get(self, owner: str, kernel_id: str) -> Kernel:
        """Return an owner's kernel.

        Raises:
            NotFoundError: there is none, it is another's, or it was asked to stop.
        """
        kernel = self._kernels.get(kernel_id)
        if kernel is None and wire.is_text(kernel_id):
            workload = await self._store.workloads.get(kernel_id)
            if workload is not None and workload.kind is Kind.KERNEL:
                kernel = self._take_in(workload)
        if kernel is None or kernel.workload.owner != owner or not _shown(kernel.workload):
            raise NotFoundError(f"there is no kernel {kernel_id[:64]!r}")
        return kernel

    def of(self, owner: str) -> Sequence[Kernel]:
        """Return an owner's kernels: living, or failed a short while ago."""
        return [
            kernel
            for kernel in self._kernels.values()
            if kernel.workload.owner == owner and _shown(kernel.workload)
        ]

    async def delete(self, kernel: Kernel) -> None:
        """Want a kernel to stop; it is shown no more, and its sessions are forgotten."""
        with about(**of_workload(kernel.workload)):
            log.info("kernel %s asked to end", kernel.workload.id)
        await self._store.workloads.want_stopped(kernel.workload.id)
        await self._store.sessions.delete_of_kernel(kernel.workload.id)
        workload = await self._store.workloads.get(kernel.workload.id)
        if workload is None or workload.status.ended:
            self._kernels.pop(kernel.workload.id, None)
            kernel.close()
        if workload is not None:
            kernel.update(workload)

    def _take_in(self, workload: Workload) -> Kernel:
        kernel = self._kernels.get(workload.id)
        if kernel is None:
            kernel = Kernel(workload, self._config, self._store)
            kernel.open_link(self._context, self._keys)
            self._kernels[workload.id] = kernel
        kernel.update(workload)
        return kernel

    def _forget(self) -> None:
        for kernel_id, kernel in list(self._kernels.items()):
            old = kernel.workload.changed_at < now() - _FAILED_SHOWN
            if kernel.workload.status.ended and old and not kernel.clients:
                kernel.close()
                del self._kernels[kernel_id]


def _shown(workload: Workload) -> bool:
    if workload.desired is Desired.STOPPED or workload.status is Status.STOPPED:
        return False
    return workload.status is not Status.FAILED or workload.changed_at > now() - _FAILED_SHOWN
