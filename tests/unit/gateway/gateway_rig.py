"""The gateway's application with a stand-in for the hub, on a real store, without a dispatcher."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import zmq
from aiohttp import ClientWebSocketResponse, WSMsgType
from aiohttp.test_utils import TestClient, TestServer
from teamhub.config import Config
from teamhub.gateway import wire
from teamhub.gateway.access import Caller, HubAwayError, UnknownTokenError
from teamhub.gateway.app import BASE, LINE_BYTES, create
from teamhub.gateway.link import Keys
from teamhub.model import Kind, Status, Workload
from teamhub.store import Store

DEADLINE_SECONDS = 10


class AccessStandIn:
    """Knows tokens by heart: the token `ada-token` is ada's."""

    def __init__(self) -> None:
        self.revoked: set[str] = set()
        self.away = False
        self._forgotten = asyncio.Event()

    def forget(self) -> None:
        self._forgotten.set()
        self._forgotten = asyncio.Event()

    async def until_doubtful(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._forgotten.wait(), seconds)

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def caller(self, token: str) -> Caller:
        if self.away:
            raise HubAwayError("the hub cannot be asked who you are; try again in a moment")
        name, dash, _ = token.partition("-token")
        if not dash or token in self.revoked:
            raise UnknownTokenError("this token is not valid for the gateway; make a new one")
        return Caller(name)

    async def hub_answers(self) -> bool:
        return not self.away


class Member:
    """Somebody who speaks with the gateway."""

    def __init__(self, client: TestClient[Any, Any], name: str) -> None:
        self._client = client
        self._headers = {"Authorization": f"token {name}-token"}

    async def ask(self, method: str, path: str, body: Any = None, **more: Any) -> tuple[int, Any]:
        """Return the status and the body, as JSON where it is."""
        if body is not None:
            more["json"] = body
        headers = {**self._headers, **more.pop("headers", {})}
        async with self._client.request(method, BASE + path, headers=headers, **more) as answer:
            text = await answer.text()
            is_json = answer.content_type == "application/json"
            return answer.status, json.loads(text) if is_json else text

    async def kernel(self, **body: Any) -> str:
        status, model = await self.ask("POST", "/api/kernels", body)
        assert status == 201, model
        return str(model["id"])

    async def socket(self, kernel_id: str, session: str = "s1", *, v1: bool = True) -> Socket:
        path = f"{BASE}/api/kernels/{kernel_id}/channels?session_id={session}"
        protocols = (wire.V1,) if v1 else ()
        made = await self._client.ws_connect(path, headers=self._headers, protocols=protocols)
        return Socket(made, session, v1=v1)


class Socket:
    """A client's end of a kernel's websocket."""

    def __init__(self, raw: ClientWebSocketResponse, session: str, *, v1: bool) -> None:
        self.raw = raw
        self._session = session
        self._v1 = v1

    async def send(self, msg_type: str, channel: str = "shell", **content: Any) -> str:
        msg_id = uuid.uuid4().hex
        header = {"msg_id": msg_id, "msg_type": msg_type, "session": self._session}
        parts = [json.dumps(header).encode(), b"{}", b"{}", json.dumps(content).encode()]
        data = wire.to_client(channel, parts, v1=self._v1)
        if isinstance(data, bytes):
            await self.raw.send_bytes(data)
        else:
            await self.raw.send_str(data)
        return msg_id

    async def heard(self) -> None:
        """Until everything sent so far has been taken. Needs known facts of the environment."""
        msg_id = await self.send("kernel_info_request")
        while (await self.next())["parent"] != msg_id:
            pass
        for _ in range(2):
            assert (await self.next())["parent"] == msg_id

    async def next(self) -> dict[str, Any]:
        """The next message: channel, type, parent's id and content."""
        received = await self.raw.receive(DEADLINE_SECONDS)
        assert received.type in {WSMsgType.BINARY, WSMsgType.TEXT}, received
        if self._v1:
            channel, parts = wire._split_v1(received.data)
        else:
            channel, parts = wire._split_default(received.data)
        header, parent, _, content = (json.loads(part) for part in parts[:4])
        return {
            "channel": channel,
            "type": header["msg_type"],
            "parent": parent.get("msg_id"),
            "content": content,
        }

    async def closed(self) -> tuple[int | None, str]:
        """Wait for the end; return its code and reason."""
        while True:
            received = await self.raw.receive(DEADLINE_SECONDS)
            if received.type is WSMsgType.CLOSE:
                return received.data, received.extra or ""
            assert received.type not in {WSMsgType.CLOSED, WSMsgType.ERROR}, received


class GatewayRig:
    """Any number of gateways on one store."""

    def __init__(self, folder: Path, open_store: Callable[[], Awaitable[Store]]) -> None:
        self.folder = folder
        self._open_store = open_store
        self._clients: list[TestClient[Any, Any]] = []
        self.access = AccessStandIn()
        self.epoch = 0

    async def start(self, **settings: Any) -> TestClient[Any, Any]:
        self.store = await self._open_store()
        public, secret = zmq.curve_keypair()
        keys = Keys(public.decode(), secret.decode())
        config = Config.model_validate({"data_dir": self.folder, **settings})
        app = create(config, self.store, self.access, keys)  # type: ignore[arg-type]
        client = TestClient(TestServer(app))
        await client.server.start_server(max_line_size=LINE_BYTES, max_field_size=LINE_BYTES)
        self._clients.append(client)
        return client

    async def close(self) -> None:
        for client in self._clients:
            await client.close()

    async def row(self, kernel_id: str) -> Workload:
        found = await self.store.workloads.get(kernel_id)
        assert found is not None
        return found

    async def kernels(self) -> list[Workload]:
        return list(await self.store.workloads.living(Kind.KERNEL))

    async def advance(self, kernel_id: str, status: Status, **values: Any) -> Workload:
        """What a dispatcher does."""
        if not self.epoch:
            self.epoch = await self.store.lease.take("test", 0) or 0
        assert await self.store.workloads.advance(
            await self.row(kernel_id), status, self.epoch, **values
        )
        return await self.row(kernel_id)
