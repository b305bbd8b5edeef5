"""A member's notebook server, started and stopped through the hub's API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from patience import AWAY, eventually
from team import TeamServer
from teamhub.deployment import Deployment
from workloads import rows


@asynccontextmanager
async def hub_api(server: TeamServer) -> AsyncIterator[aiohttp.ClientSession]:
    """The hub's API with the operator's token; addresses are relative to it."""
    token = Deployment.running(Path(server.data_dir)).secrets().operator_token
    async with aiohttp.ClientSession(
        base_url=f"{server.url}/hub/api/", headers={"Authorization": f"token {token}"}
    ) as session:
        yield session


class NotebookServer:
    """The notebook server of one member.

    Args:
        server: where.
        name: whose; the hub need not know them yet.
    """

    def __init__(self, server: TeamServer, name: str) -> None:
        self.server = server
        self.name = name
        self.url = f"{server.url}/user/{name}"

    async def start(self) -> None:
        """Start it and return when it answers through the proxy."""
        async with hub_api(self.server) as hub:
            async with hub.post(f"users/{self.name}/server") as response:
                assert response.status in {201, 202}, await response.text()

            async def ready() -> bool:
                async with hub.get(f"users/{self.name}") as response:
                    model = await response.json()
                assert model["pending"] in {"spawn", None}, model
                return bool(model["servers"].get("", {}).get("ready"))

            await eventually(f"the notebook server of {self.name}", ready)
        await self.answers()

    async def answers(self) -> None:
        """Return when it answers through the proxy."""

        async def look() -> bool:
            try:
                async with (
                    aiohttp.ClientSession() as http,
                    http.get(f"{self.url}/api", allow_redirects=False) as response,
                ):
                    return response.status == 200 and "version" in await response.json()
            except AWAY:
                return False

        await eventually(f"an answer of the notebook server of {self.name}", look)

    async def stop(self) -> None:
        """Stop it and return when it has ended."""
        async with hub_api(self.server) as hub:
            async with hub.delete(f"users/{self.name}/server") as response:
                assert response.status in {202, 204}, await response.text()

            async def stopped() -> bool:
                async with hub.get(f"users/{self.name}") as response:
                    return not (await response.json())["servers"]

            await eventually(f"the end of the notebook server of {self.name}", stopped)

    async def token(self) -> str:
        """Return a token of the member's that is good for this server."""
        scopes = [f"access:servers!user={self.name}", "access:services!service=gateway"]
        async with (
            hub_api(self.server) as hub,
            hub.post(f"users/{self.name}/tokens", json={"scopes": scopes}) as response,
        ):
            made: dict[str, Any] = await response.json()
            assert response.status == 201, made
            return str(made["token"])

    def workload_id(self) -> str:
        """Return the id of the one workload that it is."""
        found = [
            one["id"]
            for one in rows(self.server, owner=self.name, kind="server")
            if one["status"] not in {"stopped", "failed"}
        ]
        assert len(found) == 1, found
        return str(found[0])
