"""The trial: a member made for it signs in, runs a cell on a kernel, and is removed again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import aiohttp

from teamhub.accounts import add_user
from teamhub.deployment import Deployment
from teamhub.doctor.browser import Browser
from teamhub.doctor.check import Check, Finding, Patient, Verdict, ok, problem, skipped
from teamhub.errors import NotFoundError, TeamhubError
from teamhub.operator import Operator
from teamhub.removal import Home, remove_member
from teamhub.store import Store

_TOKEN_SECONDS = 900
_MARGIN_SECONDS = 30.0
_LEFT_SECONDS = 900.0
_CODE, _RESULT = "6*7", "42"

Step = Callable[[], Awaitable[Finding]]


class Trial:
    """One trial on a server that runs. Used as `async with`, which removes the member in any case.

    Args:
        deployment: which one.
        progress: told what is being done.
    """

    def __init__(
        self, deployment: Deployment, progress: Callable[[str], None] = lambda _: None
    ) -> None:
        self.name = f"doctor-{secrets.token_hex(4)}"
        self._deployment = deployment
        self._config = deployment.config
        self._url = deployment.public_url()
        self._progress = progress
        self._stack = contextlib.AsyncExitStack()
        self._store = Store.of(deployment)
        self._operator = Operator(deployment)
        self._password = ""
        self._token = ""
        self._kernel_id = ""
        self._failed = ""
        self._there = False

    async def __aenter__(self) -> Trial:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            # Also when it was interrupted: a cancelled task may still await.
            if self._there:
                with contextlib.suppress(TeamhubError):
                    await self._remove(self.name)
        finally:
            await self._stack.aclose()

    def checks(self) -> tuple[Check, ...]:
        """Return its steps. When one fails, those after it are skipped, but for the last."""
        steps: tuple[tuple[str, Step], ...] = (
            ("trial: account", self._add),
            ("trial: sign-in", self._sign_in),
            ("trial: token", self._make_token),
            ("trial: kernel", self._start_kernel),
            ("trial: cell", self._run_cell),
            ("trial: stop", self._stop_kernel),
        )
        return (
            *(Check(name, self._step(name, step), live=True) for name, step in steps),
            Check("trial: removal", self._removal, live=True),
        )

    def _step(self, name: str, step: Step) -> Callable[[Patient], Awaitable[Finding]]:
        async def look(_: Patient) -> Finding:
            if self._failed:
                return skipped(f"{self._failed} failed")
            try:
                found = await step()
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                found = problem(
                    f"{self._url} did not answer ({type(error).__name__})", "see `teamhub status`"
                )
            except TeamhubError:
                self._failed = name
                raise
            if found.verdict is Verdict.PROBLEM:
                self._failed = name
            return found

        return look

    # The steps

    async def _add(self) -> Finding:
        await self._store.open()
        self._stack.push_async_callback(self._store.close)
        await self._stack.enter_async_context(self._operator)
        await self._remove_left_over()
        self._marker(self.name).parent.mkdir(mode=0o700, exist_ok=True)
        self._marker(self.name).touch(mode=0o600)
        self._there = True
        self._password = await add_user(self._store, self.name, admin=False)
        return ok(f"{self.name} was added")

    async def _sign_in(self) -> Finding:
        if "authenticator_class" in self._config.hub.extra.get("JupyterHub", {}):
            await self._operator.ensure_user(self.name)
            return skipped("[hub.extra] has another way to sign in, which only a person can try")
        log = "see `teamhub logs --process hub`"
        async with Browser(self._url) as browser:
            page = await browser.get("/hub/login?next=%2Fhub%2Fhome")
            form = page.form("password")
            if form is None:
                return problem(f"the sign-in page answers {page.status}, without a form", log)
            credentials = {"username": self.name, "password": self._password}
            page = await browser.send(page, form, credentials)
            form = page.form("new_password")
            if form is None:
                return problem(
                    f"a one-time password was answered with {page.status}, and no new one was "
                    "asked for",
                    log,
                )
            new = secrets.token_urlsafe(24)
            fields = {"new_password": new, "new_password_again": new}
            page = await browser.send(page, form, fields)
            if page.status not in {302, 303}:
                return problem(f"a new password was answered with {page.status}", log)
            page = await browser.get("/hub/home")
            if page.status != 200:
                return problem(f"signed in, the home page answers {page.status}", log)
        return ok("through the public address, with a new password")

    async def _make_token(self) -> Finding:
        made = await self._operator.create_token(
            self.name, note="teamhub doctor", expires_in_seconds=_TOKEN_SECONDS
        )
        self._token = made.token
        async with self._gateway() as http, http.get("api/kernelspecs") as response:
            if response.status != 200:
                return problem(
                    f"the gateway answers a good token with {response.status}",
                    "see `teamhub logs --process gateway`",
                )
            specs = (await response.json())["kernelspecs"]
        return ok(f"made, and the gateway knows it; kernels to choose from: {len(specs)}")

    async def _start_kernel(self) -> Finding:
        async with self._gateway() as http, http.post("api/kernels", json={}) as response:
            text = await response.text()
            if response.status != 201:
                return problem(
                    f"a kernel was answered with {response.status}: {text[:200]}",
                    "see `teamhub logs --process gateway`",
                )
            model = json.loads(text)
        self._kernel_id = str(model["id"])
        return ok(f"{model['name']} was asked for")

    async def _run_cell(self) -> Finding:
        begin = time.monotonic()
        seconds = self._config.kernels.start_timeout_seconds + _MARGIN_SECONDS
        try:
            async with asyncio.timeout(seconds), self._gateway() as http:
                path = f"api/kernels/{self._kernel_id}/channels?session_id={uuid.uuid4().hex}"
                async with http.ws_connect(path, max_msg_size=0) as websocket:
                    said = await _executed(websocket)
        except TimeoutError:
            said = {"status": "timeout"}
        if said["status"] == "ok" and _RESULT in said.get("text", ""):
            return ok(
                f"{_CODE} is {said['text']}, {time.monotonic() - begin:.1f} s after the start"
            )
        return await self._why_not(said, seconds)

    async def _why_not(self, said: dict[str, Any], seconds: float) -> Finding:
        workload = await self._store.workloads.get(self._kernel_id)
        log = f"see `teamhub logs --kernel {self._kernel_id[:8]}`"
        if said["status"] == "error":
            evalue = str(said.get("evalue", "")).splitlines()
            return problem(f"the cell failed: {evalue[0] if evalue else 'no reason given'}", log)
        if said["status"] == "ok":
            return problem(f"{_CODE} gave {said.get('text')!r}", log)
        state = f" ({workload.status.value}: {workload.detail})" if workload is not None else ""
        return problem(f"no result within {seconds:.0f} s{state}", log)

    async def _stop_kernel(self) -> Finding:
        path = f"api/kernels/{self._kernel_id}"
        async with self._gateway() as http, http.delete(path) as response:
            if response.status != 204:
                return problem(
                    f"its end was answered with {response.status}",
                    "see `teamhub logs --process gateway`",
                )
        deadline = time.monotonic() + self._config.dispatcher.stop_timeout_seconds + _MARGIN_SECONDS
        with self._store.subscribe() as changes:
            while True:
                workload = await self._store.workloads.get(self._kernel_id)
                if workload is None or workload.status.ended:
                    return ok("the kernel has ended")
                if time.monotonic() > deadline:
                    return problem(
                        f"the kernel has not ended ({workload.status.value})",
                        "see `teamhub logs --process gateway`",
                    )
                await changes.wait(1.0)

    async def _removal(self, _: Patient) -> Finding:
        if not self._there:
            return skipped("there was nobody to remove")
        await self._remove(self.name)
        if self._config.home_of(self.name).exists():
            return problem(f"{self._config.home_of(self.name)} is still there", "delete it by hand")
        return ok(f"{self.name} is gone, with home and token")

    # Removing

    async def _remove(self, name: str) -> None:
        with contextlib.suppress(NotFoundError):
            await remove_member(
                self._store,
                self._config,
                name,
                Home.DELETE,
                forget=self._operator.delete_user,
                progress=self._progress,
            )
        self._marker(name).unlink(missing_ok=True)
        if name == self.name:
            self._there = False

    async def _remove_left_over(self) -> None:
        """Members of trials that were killed. Only those noted here are ever touched."""
        for marker in self._marker("x").parent.glob("doctor-*"):
            with contextlib.suppress(TeamhubError, OSError):
                if time.time() - marker.stat().st_mtime > _LEFT_SECONDS:
                    await self._remove(marker.name)

    def _marker(self, name: str) -> Path:
        return self._deployment.run_dir / "doctor" / name

    @contextlib.asynccontextmanager
    async def _gateway(self) -> AsyncIterator[aiohttp.ClientSession]:
        async with aiohttp.ClientSession(
            base_url=f"{self._url}/services/gateway/",
            headers={"Authorization": f"token {self._token}"},
            timeout=aiohttp.ClientTimeout(total=60),
            trust_env=False,
        ) as session:
            yield session


async def _executed(websocket: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
    """Run the cell; return the reply's content, with what it printed as `text`."""
    msg_id = uuid.uuid4().hex
    await websocket.send_str(json.dumps(_request(msg_id)))
    text, reply, idle = "", None, False
    async for message in websocket:
        if message.type is not aiohttp.WSMsgType.TEXT:
            continue
        said = json.loads(message.data)
        if said["parent_header"].get("msg_id") != msg_id:
            continue
        content = said["content"]
        match said["header"]["msg_type"]:
            case "execute_result":
                text += str(content["data"].get("text/plain", ""))
            case "stream":
                text += str(content["text"]).strip()
            case "execute_reply":
                reply = content
            case "status":
                idle = content["execution_state"] == "idle"
        if reply is not None and idle:
            return {**reply, "text": text}
    return {"status": "closed"}


def _request(msg_id: str) -> dict[str, Any]:
    return {
        "channel": "shell",
        "header": {
            "msg_id": msg_id,
            "msg_type": "execute_request",
            "session": uuid.uuid4().hex,
            "username": "",
            "date": "2026-11-01T00:00:00Z",
            "version": "5.4",
        },
        "parent_header": {},
        "metadata": {},
        "content": {
            "code": _CODE,
            "silent": False,
            "store_history": False,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": True,
        },
    }
