"""Real processes as the supervisor would start them, and stand-ins for what is not tested here."""

from __future__ import annotations

import asyncio
import http.client
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import aiohttp
import teamhub.hub
from aiohttp import web
from jupyterhub import __version__ as hub_version
from teamhub import accounts
from teamhub.deployment import Deployment, Ports, write_private
from teamhub.model import Address, Desired, Kind, Status, Workload
from teamhub.reasons import Reason
from teamhub.store import Store

DEADLINE_SECONDS = 60
PASSWORD = "a password of mine"
HUB_CONFIG = Path(teamhub.hub.__file__).parent / "jupyterhub_config.py"


class RunningHub:
    """The hub and the proxy of a deployment, as processes."""

    def __init__(self, deployment: Deployment, gateway_port: int) -> None:
        self.deployment = deployment
        ports = replace(deployment.ports(), gateway=gateway_port)
        write_private(deployment.run_dir / "ports.json", json.dumps(vars(ports)))
        self.ports: Ports = ports
        self._hub: subprocess.Popen[bytes] | None = None
        self._proxy: subprocess.Popen[bytes] | None = None

    def start_proxy(self) -> None:
        proxy = self.deployment.config.proxy
        with self.deployment.log_file("proxy").open("ab") as log:
            self._proxy = subprocess.Popen(
                [
                    *proxy.command,
                    *("--ip", proxy.host, "--port", str(proxy.port)),
                    *("--api-ip", "127.0.0.1", "--api-port", str(self.ports.proxy_api)),
                    *("--default-target", f"http://127.0.0.1:{self.ports.hub}"),
                    *("--error-target", f"http://127.0.0.1:{self.ports.hub}/hub/error"),
                ],
                env=os.environ | {"CONFIGPROXY_AUTH_TOKEN": self.deployment.secrets().proxy_token},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def start_hub(self) -> None:
        with self.deployment.log_file("hub").open("ab") as log:
            self._hub = subprocess.Popen(
                [sys.executable, "-m", "jupyterhub", "-f", str(HUB_CONFIG)],
                env=os.environ | {"TEAMHUB_DATA_DIR": str(self.deployment.data_dir)},
                cwd=self.deployment.run_dir,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not self._answers():
            if self._hub.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the hub did not come up:\n{self.log()}")
            time.sleep(0.05)

    def kill_hub(self) -> None:
        assert self._hub is not None
        os.killpg(self._hub.pid, signal.SIGKILL)
        self._hub.wait()

    def end(self) -> None:
        for process in (self._hub, self._proxy):
            if process is not None and process.poll() is None:
                process.terminate()
                process.wait(DEADLINE_SECONDS)

    def log(self) -> str:
        return self.deployment.log_file("hub").read_text()

    def _answers(self) -> bool:
        proxy = self.deployment.config.proxy
        connection = http.client.HTTPConnection(proxy.host, proxy.port, timeout=10)
        try:
            connection.request("GET", "/hub/login")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


class Browser:
    """As much of a browser as forms need: cookies, redirects, the hidden fields of a form.

    Each comes from a loopback address of its own, unless it is given one: what one does wrong
    is not held against another.
    """

    _numbers = itertools.count(2)

    def __init__(
        self, url: str, headers: Mapping[str, str] | None = None, address: str = ""
    ) -> None:
        number = next(self._numbers)
        self.url = url
        self.address = address or f"127.0.{number // 250}.{number % 250 + 1}"
        self._headers = headers
        self.status = 0
        self.text = ""
        self.path = ""
        self.headers: Mapping[str, str] = {}

    async def __aenter__(self) -> Browser:
        self._session = aiohttp.ClientSession(
            cookie_jar=aiohttp.CookieJar(unsafe=True),
            headers=self._headers,
            connector=aiohttp.TCPConnector(local_addr=(self.address, 0)),
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._session.close()

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> None:
        async with self._session.get(self.url + path, headers=headers) as answer:
            await self._keep(answer)

    async def post(self, path: str, json: Any = None, **fields: str) -> None:
        """Send fields, or a JSON body, without a form."""
        data = None if json is not None else fields
        async with self._session.post(self.url + path, data=data, json=json) as answer:
            await self._keep(answer)

    async def submit(self, **fields: str) -> None:
        """Send the form that is being shown with these fields and its hidden ones."""
        form = re.search(r'<form action="([^"]+)"', self.text)
        assert form, self.text
        hidden = {}
        for tag in re.findall(r"<input[^>]*>", self.text):
            if 'type="hidden"' in tag:
                named = dict(re.findall(r'(\w+)="([^"]*)"', tag))
                hidden[named["name"]] = named["value"]
        address = self.url + form[1].replace("&amp;", "&")
        async with self._session.post(address, data=hidden | fields) as answer:
            await self._keep(answer)

    async def sign_in(self, name: str, password: str) -> None:
        await self.get("/hub/login?next=%2Fhub%2Fhome")
        await self.submit(username=name, password=password)

    async def is_signed_in(self) -> bool:
        async with self._session.get(f"{self.url}/hub/home") as answer:
            return answer.status == 200 and answer.url.path == "/hub/home"

    async def events(self, path: str) -> list[dict[str, Any]]:
        """Return all events of a stream that ends."""
        async with self._session.get(self.url + path) as answer:
            assert answer.status == 200, await answer.text()
            return [
                json.loads(line.removeprefix(b"data:"))
                async for line in answer.content
                if line.startswith(b"data:")
            ]

    def progress_path(self) -> str:
        """Return where the page that waits for a server hears of it."""
        found = re.search(r'new EventSource\("([^"]+)"\)', self.text)
        assert found, self.text
        return found[1].replace("&amp;", "&")

    def hidden(self, name: str) -> str:
        """Return the value of a hidden field of the form that is being shown."""
        found = re.search(rf'name="{name}" value="([^"]*)"', self.text)
        assert found, self.text
        return found[1]

    async def _keep(self, answer: aiohttp.ClientResponse) -> None:
        self.status, self.text = answer.status, await answer.text()
        self.path, self.headers = answer.url.path, answer.headers


async def first_sign_in(store: Store, browser: Browser, name: str, *, admin: bool = False) -> None:
    """Add somebody, who signs in and chooses `PASSWORD`."""
    given = await accounts.add_user(store, name, admin=admin)
    await browser.sign_in(name, given)
    await browser.submit(new_password=PASSWORD, new_password_again=PASSWORD)
    assert browser.path == "/hub/home", browser.text


class DispatcherStandIn:
    """Moves rows of servers as a dispatcher would. What it "starts" answers as a server does."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.launched: list[Workload] = []
        self.fails_with: dict[str, Any] | None = None
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.waits = asyncio.Event()
        self._epoch = 0
        self._sites: dict[str, web.AppRunner] = {}

    async def __aenter__(self) -> DispatcherStandIn:
        self._epoch = await self.store.lease.take("stand-in", 0) or 0
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.go_on.set()
        # Also what the hub still holds for running, so that the next test begins with nothing.
        await self.store.workloads.want_all_stopped()
        async with asyncio.timeout(DEADLINE_SECONDS):
            with self.store.subscribe() as wakes:
                while await self.store.workloads.living():
                    await wakes.wait(1)
        self._task.cancel()
        for site in self._sites.values():
            await site.cleanup()
        await self.store.lease.release(self._epoch)

    async def _run(self) -> None:
        with self.store.subscribe() as wakes:
            while True:
                for workload in await self.store.workloads.living():
                    if workload.desired is Desired.STOPPED:
                        await self._stop(workload)
                    elif workload.kind is Kind.SERVER and workload.status is Status.QUEUED:
                        await self._start(workload)
                await wakes.wait(1)

    async def _start(self, workload: Workload) -> None:
        self.launched.append(workload)
        workload = await self._advance(workload, Status.PLACED, node="node1")
        workload = await self._advance(workload, Status.STARTING)
        if self.fails_with is not None:
            await self._advance(workload, Status.FAILED, **self.fails_with)
            return
        self.waits.set()
        await self.go_on.wait()
        prefix = workload.spec["env"]["JUPYTERHUB_SERVICE_PREFIX"]
        app = web.Application()
        app.router.add_get(f"{prefix}api", _version)
        app.router.add_get(f"{prefix}lab", _hello)
        site = web.AppRunner(app)
        await site.setup()
        await web.TCPSite(site, "127.0.0.1", 0).start()
        self._sites[workload.id] = site
        address = Address("127.0.0.1", site.addresses[0][1])
        await self._advance(workload, Status.RUNNING, address=address, secrets={})

    async def _stop(self, workload: Workload) -> None:
        site = self._sites.pop(workload.id, None)
        if site is not None:
            await site.cleanup()
        await self._advance(workload, Status.STOPPED, reason=Reason.ASKED.value)

    async def _advance(self, workload: Workload, status: Status, **values: Any) -> Workload:
        assert await self.store.workloads.advance(workload, status, self._epoch, **values)
        found = await self.store.workloads.get(workload.id)
        assert found is not None
        return found


async def _version(request: web.Request) -> web.Response:
    return web.json_response({"version": "2"}, headers={"X-JupyterHub-Version": hub_version})


async def _hello(request: web.Request) -> web.Response:
    return web.Response(text="a notebook server")
