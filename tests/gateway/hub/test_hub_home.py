"""Home and tokens: a member's own things, and nobody else's."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

import aiohttp
import pytest
from hub_pages import SignedIn
from hub_standins import DEADLINE_SECONDS, DispatcherStandIn, RunningHub
from teamhub.hub.pages.tokens import NOTE_LENGTH
from teamhub.model import Desired, Kind, Status
from teamhub.reasons import Reason
from teamhub.store import Store

pytestmark = pytest.mark.node

STRANGE_NAMES = [
    "",
    "../x",
    "a/b",
    "a\x00b",
    "a\nb",
    "säure",
    "kоt",  # noqa: RUF001  with a Cyrillic o
    "a" * 31,
    "x" * 5000,
    "-x",
    "x--y",
    "<b>x</b>",
]


@pytest.fixture
async def member(hub: RunningHub, store: Store) -> AsyncIterator[SignedIn]:
    """A browser of a new member."""
    async with SignedIn(hub.deployment.public_url()) as browser:
        await browser.first_sign_in(store, f"m-{uuid.uuid4().hex[:8]}")
        yield browser


async def kernel_of(store: Store, owner: str, name: str = "python3") -> str:
    workload = await store.workloads.add(Kind.KERNEL, owner, name, environment="python3")
    return workload.id


async def test_empty_home_says_what_to_do_next(member: SignedIn) -> None:
    await member.get("/hub/home")
    assert "No kernels are running" in member.text
    assert "You have no tokens" in member.text
    assert 'id="start"' in member.text
    assert member.headers["Cache-Control"] == "no-store"


async def test_named_server_is_started_opened_stopped_and_deleted(
    member: SignedIn, dispatcher: DispatcherStandIn
) -> None:
    name = member.name
    dispatcher.go_on.clear()
    await member.post("/hub/home", action="new-server", name="Thesis")
    assert member.path == f"/hub/spawn-pending/{name}/thesis"
    reading = asyncio.create_task(member.events(member.progress_path()))
    dispatcher.go_on.set()
    events = await asyncio.wait_for(reading, DEADLINE_SECONDS)
    assert events[-1]["ready"] is True
    await member.get(f"/user/{name}/thesis/lab")
    assert member.text == "a notebook server"
    (workload,) = dispatcher.launched
    assert (workload.owner, workload.name) == (name, "thesis")
    assert workload.spec["env"]["JUPYTERHUB_SERVICE_PREFIX"] == f"/user/{name}/thesis/"

    await member.get("/hub/home?part=lists")
    assert "<html" not in member.text
    assert f"/user/{name}/thesis/" in member.text
    assert "Running" in member.text

    await member.post("/hub/home", action="stop-server", name="thesis")
    assert "The notebook server thesis has been stopped" in member.text
    await member.get("/hub/home")
    assert "has been stopped" not in member.text, "a notice is shown once"
    await member.post("/hub/home", action="delete-server", name="thesis")
    assert "has been deleted" in member.text
    await member.post("/hub/home", action="delete-server", name="thesis")
    assert (member.status, member.alert) == (
        404,
        "There is no notebook server called &#39;thesis&#39;.",
    )


async def test_server_that_is_just_starting_can_be_stopped(
    member: SignedIn, dispatcher: DispatcherStandIn, store: Store
) -> None:
    dispatcher.go_on.clear()
    await member.get("/hub/spawn")
    await dispatcher.waits.wait()
    await member.get("/hub/home")
    assert "Starting" in member.text
    await member.post("/hub/home", action="delete-server", name="")
    assert member.status == 409
    dispatcher.go_on.set()
    await member.post("/hub/home", action="stop-server", name="")
    assert "Your notebook server has been stopped" in member.text
    (workload,) = dispatcher.launched
    found = await store.workloads.get(workload.id)
    assert found is not None
    assert found.desired is Desired.STOPPED


async def test_name_that_a_server_cannot_have_changes_nothing(
    member: SignedIn, dispatcher: DispatcherStandIn
) -> None:
    for name in STRANGE_NAMES:
        await member.post("/hub/home", action="new-server", name=name)
        assert (member.status, member.path) == (409, "/hub/home"), name
        assert "cannot be a notebook server&#39;s name: use 1 to 30 of a-z" in member.alert
        assert len(member.alert) < 300
    await member.get("/hub/home")
    assert 'value="stop-server"' not in member.text
    assert 'value="delete-server"' not in member.text
    assert dispatcher.launched == []


async def test_no_more_named_servers_than_allowed(
    hub: RunningHub, member: SignedIn, dispatcher: DispatcherStandIn
) -> None:
    limit = hub.deployment.config.servers.named_per_member
    for number in range(limit):
        assert await member.call("PUT", f"users/{member.name}/servers/s{number}") == 201
    await member.post("/hub/home", action="new-server", name="one-more")
    assert (member.status, member.alert) == (
        409,
        f"You have {limit} named servers, which is the limit; delete one.",
    )
    assert "as many as you may" in member.text
    await member.post("/hub/home", action="new-server", name="s0")
    assert "You have a notebook server called" in member.alert


async def test_failed_kernel_says_why_and_is_dismissed(
    member: SignedIn, dispatcher: DispatcherStandIn, store: Store
) -> None:
    kernel_id = await kernel_of(store, member.name)
    workload = await store.workloads.get(kernel_id)
    assert workload is not None
    await store.sessions.add(member.name, "work/<i>plot</i>.ipynb", "plot", "notebook", kernel_id)
    for status in (Status.PLACED, Status.STARTING):
        workload = await dispatcher._advance(workload, status)
    await dispatcher._advance(
        workload,
        Status.FAILED,
        reason=Reason.EXITED_AT_START.value,
        detail="the kernel exited with <code> 3",
        log_tail="first\n<script>alert(1)</script>",
    )
    await member.get("/hub/home")
    assert "The kernel exited with &lt;code&gt; 3." in member.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in member.text
    assert "work/&lt;i&gt;plot&lt;/i&gt;.ipynb" in member.text
    await member.post("/hub/home", action="stop-kernel", kernel=kernel_id)
    assert member.status == 200
    assert kernel_id not in member.text


async def test_nobody_touches_what_is_anothers(
    hub: RunningHub, member: SignedIn, dispatcher: DispatcherStandIn, store: Store
) -> None:
    kernel_id = await kernel_of(store, member.name)
    await member.post("/hub/home", action="new-server", name="mine")
    async with SignedIn(hub.deployment.public_url()) as other:
        await other.first_sign_in(store, f"{member.name}-other")
        await other.get("/hub/home")
        assert kernel_id not in other.text
        assert "mine" not in other.text
        await other.post("/hub/home", action="stop-kernel", kernel=kernel_id)
        assert (other.status, other.alert) == (404, f"There is no kernel &#39;{kernel_id}&#39;.")
        for action in ("stop-server", "delete-server"):
            await other.post("/hub/home", action=action, name="mine", owner=member.name)
            assert other.status == 404
        await member.post("/hub/token", action="create", note="mine", expires="30")
        await member.get("/hub/token")
        token_id = member.hidden("token")
        await other.post("/hub/token", action="revoke", token=token_id)
        assert (other.status, "no such token" in other.alert) == (404, True)
    workload = await store.workloads.get(kernel_id)
    assert workload is not None
    assert workload.desired is Desired.RUNNING
    assert await store.workloads.server(member.name, "mine") is not None
    await member.get("/hub/token")
    assert f'value="{token_id}"' in member.text


async def test_kernel_that_is_none_is_one_line(member: SignedIn) -> None:
    for kernel in ("", "nobody's", "../x", "<b>", "0" * 9000):
        await member.post("/hub/home", action="stop-kernel", kernel=kernel)
        assert member.status == 404
        assert member.alert.startswith("There is no kernel ")
        assert len(member.alert) < 120


async def test_form_without_the_pages_own_token_is_refused(member: SignedIn) -> None:
    for path, fields in (
        ("/hub/home", {"action": "new-server", "name": "forged"}),
        ("/hub/home", {"action": "stop-server", "name": ""}),
        ("/hub/home", {"action": "delete-server", "name": "x"}),
        ("/hub/home", {"action": "stop-kernel", "kernel": "x"}),
        ("/hub/token", {"action": "create", "expires": "30"}),
        ("/hub/token", {"action": "revoke", "token": "a1"}),
    ):
        for forged in ("", "forged"):
            await member.post(path, **(fields | {"_xsrf": forged}))
            assert member.status == 403, (path, fields)
    await member.get("/hub/token")
    assert "You have no tokens" in member.text


async def test_form_that_asks_for_nothing_known_is_refused(member: SignedIn) -> None:
    for action in ("", "prepare", "__init__", "stop_kernel"):
        await member.post("/hub/home", action=action)
        assert member.status == 400
        assert "something that the page cannot do" in member.text


async def test_who_is_not_signed_in_is_sent_to_the_sign_in_page(hub: RunningHub) -> None:
    async with SignedIn(hub.deployment.public_url()) as nobody:
        for path in ("/hub/home", "/hub/token", "/hub/administration"):
            await nobody.get(path)
            assert nobody.path == "/hub/login"
            await nobody.post(path, action="create")
            assert nobody.status == 403


async def test_personal_token_is_shown_once_and_good_for_the_gateway_alone(
    hub: RunningHub, member: SignedIn, store: Store, http_session: aiohttp.ClientSession
) -> None:
    await member.post("/hub/token", action="create", note="VS <b>Code</b>", expires="30")
    assert member.status == 200
    assert member.headers["Cache-Control"] == "no-store"
    found = member.text.split('id="token-text"')[1].split(">")[1].split("<")[0]
    url = hub.deployment.public_url()
    assert f"{url}/services/gateway/?token={found}" in member.text
    assert f"jupyter lab --gateway-url={url}/services/gateway" in member.text
    assert f"server_url=&#34;{url}/services/gateway&#34;" in member.text
    assert "VS &lt;b&gt;Code&lt;/b&gt;" in member.text
    await member.get("/hub/token")
    assert found not in member.text

    headers = {"Authorization": f"token {found}"}
    api = hub.deployment.hub_api_url()
    async with http_session.get(f"{api}/user", headers=headers) as answer:
        model = await answer.json()
    assert model["name"] == member.name
    assert "access:services!service=gateway" in model["scopes"]
    async with http_session.post(f"{api}/users/{member.name}/tokens", headers=headers) as answer:
        assert answer.status == 403
    async with http_session.post(f"{api}/users/{member.name}/server", headers=headers) as answer:
        assert answer.status in {403, 404}
    # Pages are for browsers.
    async with http_session.get(f"{url}/hub/token", headers=headers) as answer:
        assert answer.url.path == "/hub/login"

    before = await store.revocations.count()
    await member.post("/hub/token", action="revoke", token=member.hidden("token"))
    assert "The token has been revoked" in member.text
    assert await store.revocations.count() == before + 1
    async with http_session.get(f"{api}/user", headers=headers) as answer:
        assert answer.status == 403
    assert found not in hub.log()


async def test_token_revoked_by_the_hubs_api_is_counted_too(member: SignedIn, store: Store) -> None:
    await member.post("/hub/token", action="create", note="script", expires="1")
    await member.get("/hub/token")
    before = await store.revocations.count()
    path = f"users/{member.name}/tokens/{member.hidden('token')}"
    assert await member.call("DELETE", path) == 204
    assert await store.revocations.count() == before + 1


async def test_token_that_cannot_be_made_is_one_line(member: SignedIn) -> None:
    for fields in (
        {"note": "x" * (NOTE_LENGTH + 1), "expires": "30"},
        {"note": "two\u2028lines", "expires": "30"},
        {"note": "Server at /user/x", "expires": "30"},
        {"note": "", "expires": "100000"},
        {"note": "", "expires": ""},
        {"note": "", "expires": "-1"},
    ):
        await member.post("/hub/token", action="create", **fields)
        assert member.status == 409
        assert member.alert
        assert "\n" not in member.alert
        assert "You have no tokens" in member.text
