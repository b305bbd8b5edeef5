"""A real hub behind a real proxy; the dispatcher and the notebook server are stand-ins."""

from __future__ import annotations

import asyncio
import http.server
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hub_standins import Browser, DispatcherStandIn, RunningHub
from teamhub.config import (
    AccountSettings,
    Config,
    HubSettings,
    ProxySettings,
    ServerSettings,
    SizeSettings,
)
from teamhub.deployment import Deployment
from teamhub.store import Store
from teamhub.store.migrate import upgrade

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def proxy_command(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The proxy of this checkout (`./dev` installs it), else one installed for these tests."""
    for found in (
        shutil.which("configurable-http-proxy"),
        ROOT / ".node/node_modules/.bin/configurable-http-proxy",
    ):
        if found and Path(found).exists():
            return str(found)
    place = tmp_path_factory.mktemp("proxy")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(ROOT / "packages/proxy" / name, place)
    subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=place, check=True)
    return str(place / "node_modules/.bin/configurable-http-proxy")


class _Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return None


@pytest.fixture(scope="session")
def gateway_port() -> Iterator[int]:
    """Something that answers where the hub expects the gateway."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


def server_settings(**settings: Any) -> ServerSettings:
    """Settings for notebook servers that the stand-in of a dispatcher starts."""
    command = (sys.executable, "-c", "pass")
    return ServerSettings(argv=command, start_timeout_seconds=20, **settings)


@contextmanager
def running_hub(
    data_dir: Path, proxy_command: str, gateway_port: int, **sections: Any
) -> Iterator[RunningHub]:
    """A hub and its proxy for as long as the context lasts, with these sections of settings."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = Config(
        data_dir=data_dir,
        proxy=ProxySettings(port=port, command=(proxy_command,)),
        **{"servers": server_settings()} | sections,
    )
    deployment = Deployment(config)
    deployment.prepare()
    asyncio.run(upgrade(config.store_url()))
    running = RunningHub(deployment, gateway_port)
    try:
        running.start_proxy()
        running.start_hub()
        yield running
    finally:
        running.end()


@pytest.fixture(scope="session")
def hub(
    tmp_path_factory: pytest.TempPathFactory, proxy_command: str, gateway_port: int
) -> Iterator[RunningHub]:
    with running_hub(tmp_path_factory.mktemp("deployment"), proxy_command, gateway_port) as running:
        yield running


@pytest.fixture(scope="session")
def sized_hub(
    tmp_path_factory: pytest.TempPathFactory, proxy_command: str, gateway_port: int
) -> Iterator[RunningHub]:
    """A hub where a notebook server is small or large."""
    sizes = {
        "small": SizeSettings(cpus=1, memory=2 * 1024**3),
        "large": SizeSettings(display_name="<Large>", cpus=2.5, memory=4 * 1024**3),
    }
    with running_hub(
        tmp_path_factory.mktemp("sized"),
        proxy_command,
        gateway_port,
        sizes=sizes,
        servers=server_settings(sizes=tuple(sizes)),
    ) as running:
        yield running


@pytest.fixture(scope="session")
def other_hub(
    tmp_path_factory: pytest.TempPathFactory, proxy_command: str, gateway_port: int
) -> Iterator[RunningHub]:
    """A hub where nobody can ask for an account and administrators may enter members' servers.

    It looks at accounts again after a second.
    """
    with running_hub(
        tmp_path_factory.mktemp("other"),
        proxy_command,
        gateway_port,
        hub=HubSettings(
            administrators_access_servers=True,
            extra={"Authenticator": {"auth_refresh_age": 1}},
        ),
        accounts=AccountSettings(sign_up="closed"),
    ) as running:
        yield running


@pytest.fixture
async def store(hub: RunningHub) -> AsyncIterator[Store]:
    store = Store.of(hub.deployment)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def http_session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield session


@pytest.fixture
async def browser(hub: RunningHub) -> AsyncIterator[Browser]:
    async with Browser(hub.deployment.public_url()) as browser:
        yield browser


@pytest.fixture
async def dispatcher(store: Store) -> AsyncIterator[DispatcherStandIn]:
    async with DispatcherStandIn(store) as dispatcher:
        yield dispatcher
