"""Whether a deployment works: who is asked for it, and in which order."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from teamhub.config import Config, ProxySettings
from teamhub.deployment import Deployment
from teamhub.supervisor.programs import GATEWAY, HUB, PROXY
from teamhub.supervisor.readiness import _MISSING, Checks, Readiness


class Standin:
    """A server that answers what it is told to, and knows what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers: dict[str, tuple[int, str]] = {}
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        self.server = TestServer(app, host="127.0.0.1")

    async def _answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        status, text = self.answers.get(request.path, (404, ""))
        return web.Response(status=status, text=text)


class Rig:
    """Stand-ins of the hub, the gateway and the proxy; what is not started does not answer."""

    def __init__(self, data_dir: Path) -> None:
        self.hub, self.gateway, self.proxy = Standin(), Standin(), Standin()
        self.hub.answers["/hub/health"] = 200, ""
        self.gateway.answers["/services/gateway/healthz"] = 200, ""
        self.gateway.answers["/services/gateway/readyz"] = 200, ""
        self.proxy.answers["/hub/login"] = 200, "<form>"
        self.proxy.answers["/services/gateway/healthz"] = 200, ""
        self._data_dir = data_dir

    async def check(self, *started: Standin) -> Readiness:
        for each in started:
            if not each.server.started:
                await each.server.start_server()
        ports = {
            name: each.server.port or _unused()
            for name, each in (("hub", self.hub), ("gateway", self.gateway))
        }
        proxy = ProxySettings(port=self.proxy.server.port or _unused())
        deployment = Deployment(Config(data_dir=self._data_dir, proxy=proxy))
        deployment.make_directories()
        noted = json.dumps({**ports, "proxy_api": _unused()})
        (deployment.run_dir / "ports.json").write_text(noted)
        async with Checks(deployment) as checks:
            return await checks.check()

    async def close(self) -> None:
        for each in (self.hub, self.gateway, self.proxy):
            await each.server.close()


def _unused() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    rig = Rig(tmp_path / "data")
    yield rig
    await rig.close()


async def test_nothing_is_asked_through_the_proxy_for_what_is_not_there(rig: Rig) -> None:
    found = await rig.check(rig.proxy)
    assert list(found.problems) == [HUB, GATEWAY]
    assert not found.ready
    assert rig.proxy.asked == []

    rig.gateway.answers["/services/gateway/readyz"] = 503, '{"checks": {"dispatcher": false}}'
    found = await rig.check(rig.proxy, rig.gateway)
    assert found.problems[GATEWAY] == f"the gateway is not ready: {_MISSING['dispatcher']}"
    assert found.problems[HUB] == "the hub answers nothing"
    assert rig.proxy.asked == []


async def test_what_answers_is_asked_as_browsers_ask(rig: Rig) -> None:
    assert (await rig.check(rig.proxy, rig.gateway, rig.hub)).ready
    assert sorted(rig.proxy.asked) == ["/hub/login", "/services/gateway/healthz"]

    rig.proxy.answers["/hub/login"] = 404, ""
    rig.proxy.answers["/services/gateway/healthz"] = 404, ""
    assert dict((await rig.check()).problems) == {
        HUB: "the sign-in page answers 404",
        GATEWAY: "the gateway answers 404 through the proxy",
    }


async def test_a_proxy_that_is_away_is_to_blame_alone(rig: Rig) -> None:
    assert list((await rig.check(rig.gateway, rig.hub)).problems) == [PROXY]
