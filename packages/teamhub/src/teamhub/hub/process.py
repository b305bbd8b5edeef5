"""What the parts of the hub's process share: the deployment and one open store.

JupyterHub makes a spawner for every user and the authenticator by itself, so neither can be given
anything; both ask here.
"""

from __future__ import annotations

import asyncio

from teamhub.deployment import Deployment
from teamhub.store import Store


class HubProcess:
    """One hub process of a deployment.

    Args:
        deployment: its own.
    """

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.config = deployment.config
        self._opening = asyncio.Lock()
        self._store: Store | None = None

    async def store(self) -> Store:
        """Return the store, opened at the first call and again after a call that failed.

        Raises:
            StoreError: it cannot be used.
        """
        async with self._opening:
            if self._store is None:
                store = Store.of(self.deployment)
                try:
                    await store.open()
                except BaseException:
                    await store.close()
                    raise
                self._store = store
        return self._store

    async def close(self) -> None:
        """Let go of the store. A second call does nothing."""
        if self._store is not None:
            await self._store.close()
            self._store = None


_here: list[HubProcess] = []


def begin(deployment: Deployment) -> HubProcess:
    """Make this process a hub of that deployment. A second call replaces the first."""
    _here[:] = [HubProcess(deployment)]
    return _here[0]


def current() -> HubProcess:
    """Return this process as a hub. Raises RuntimeError where `begin` has not been called."""
    if not _here:
        raise RuntimeError("this process is not a hub: jupyterhub_config.py has not been read")
    return _here[0]
