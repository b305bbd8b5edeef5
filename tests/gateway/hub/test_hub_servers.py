"""A notebook server from a browser's side."""

from __future__ import annotations

import asyncio

import pytest
from hub_standins import DEADLINE_SECONDS, Browser, DispatcherStandIn
from teamhub import accounts
from teamhub.reasons import Reason
from teamhub.store import Store

pytestmark = pytest.mark.node

PASSWORD = "a password of mine"


async def sign_in_as(store: Store, browser: Browser, name: str) -> None:
    given = await accounts.add_user(store, name, admin=False)
    await browser.get("/hub/login?next=%2Fhub%2Fhome")
    await browser.submit(username=name, password=given)
    await browser.submit(new_password=PASSWORD, new_password_again=PASSWORD)
    assert browser.path == "/hub/home"


async def test_server_starts_and_is_reached_through_the_proxy(
    store: Store, browser: Browser, dispatcher: DispatcherStandIn
) -> None:
    await sign_in_as(store, browser, "gina")
    dispatcher.go_on.clear()
    await browser.get("/hub/spawn")
    assert browser.path == "/hub/spawn-pending/gina"
    reading = asyncio.create_task(browser.events(browser.progress_path()))
    dispatcher.go_on.set()
    events = await asyncio.wait_for(reading, DEADLINE_SECONDS)
    assert events[-1]["ready"] is True
    await browser.get("/user/gina/lab")
    assert browser.text == "a notebook server"
    (workload,) = dispatcher.launched
    assert workload.spec["env"]["JUPYTERHUB_SERVICE_URL"] == "http://127.0.0.1:0/user/gina/"
    assert workload.spec["env"]["TEAMHUB_GATEWAY_URL"].endswith("/services/gateway")


async def test_failed_start_says_why(
    store: Store, browser: Browser, dispatcher: DispatcherStandIn
) -> None:
    await sign_in_as(store, browser, "hugo")
    dispatcher.fails_with = {
        "reason": Reason.EXITED_AT_START.value,
        "detail": "exit code 3",
        "log_tail": "first line\nModuleNotFoundError: <no> module",
    }
    await browser.get("/hub/spawn")
    await browser.get("/hub/spawn-pending/hugo")
    assert "it ended before it had answered (exit code 3)" in browser.text
    assert "ModuleNotFoundError: &lt;no&gt; module" in browser.text
