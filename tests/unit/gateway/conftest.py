"""A gateway, and two members of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from gateway_rig import GatewayRig, Member
from teamhub.store import Store


@pytest.fixture
async def rig(
    deployment_dir: Path, open_store: Callable[[], Awaitable[Store]]
) -> AsyncIterator[GatewayRig]:
    made = GatewayRig(deployment_dir, open_store)
    yield made
    await made.close()


@pytest.fixture
async def client(rig: GatewayRig) -> TestClient[Any, Any]:
    return await rig.start(
        kernels={"per_user": 5, "environment_bytes": 100},
        gateway={"waiting_messages_per_kernel": 3},
    )


@pytest.fixture
def ada(client: TestClient[Any, Any]) -> Member:
    return Member(client, "ada")


@pytest.fixture
def bob(client: TestClient[Any, Any]) -> Member:
    return Member(client, "bob")
