"""Notebook servers in several sizes: what is offered, and what is refused."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import pytest
from hub_pages import SignedIn
from hub_standins import DispatcherStandIn, RunningHub
from teamhub.store import Store

pytestmark = pytest.mark.node


@pytest.fixture
def hub(sized_hub: RunningHub) -> RunningHub:
    """In the place of the one that all share: the one with sizes."""
    return sized_hub


@pytest.fixture
async def member(hub: RunningHub, store: Store) -> AsyncIterator[SignedIn]:
    """A browser of a new member."""
    async with SignedIn(hub.deployment.public_url()) as browser:
        await browser.first_sign_in(store, f"m-{uuid.uuid4().hex[:8]}")
        yield browser


async def test_sizes_are_offered_in_words_and_the_chosen_one_is_started(
    member: SignedIn, dispatcher: DispatcherStandIn
) -> None:
    await member.get("/hub/spawn")
    assert (member.status, member.path) == (200, "/hub/spawn")
    assert 'value="small" checked' in member.text
    assert "1 CPU, 2 GiB of memory" in member.text
    assert "&lt;Large&gt;" in member.text
    assert "2.5 CPUs, 4 GiB of memory" in member.text
    assert dispatcher.launched == []
    # What a client says about anything else is ignored.
    await member.post("/hub/spawn", size="large", cpus="64", argv="/bin/sh")
    assert member.path.startswith((f"/user/{member.name}/", "/hub/spawn-pending/"))
    (workload,) = dispatcher.launched
    assert workload.size == "large"
    assert "/bin/sh" not in str(workload.spec)
    await member.get("/hub/home")
    assert "&lt;Large&gt;: 2.5 CPUs, 4 GiB of memory" in member.text


async def test_form_with_an_unknown_size_is_shown_again(
    member: SignedIn, dispatcher: DispatcherStandIn
) -> None:
    for size in ("huge", "", "../x", "<b>", "x" * 5000):
        await member.post("/hub/spawn", size=size)
        assert member.status == 400
        assert member.alert.startswith("There is no notebook server of the size ")
        assert member.alert.endswith("choose one of small, large.")
        assert "<b>" not in member.text
        assert 'value="small" checked' in member.text
    assert dispatcher.launched == []


async def test_api_takes_a_size_and_refuses_another(
    member: SignedIn, dispatcher: DispatcherStandIn
) -> None:
    path = f"users/{member.name}/server"
    for options in ({"size": "huge"}, {"size": ["small", "large"]}, {"size": 7}, {"size": {}}):
        assert await member.call("POST", path, **options) == 400
        assert "choose one of small, large" in member.text
        assert await member.call("POST", path, user_options=options) == 400
        assert await member.call("PATCH", path, user_options=options) == 400
        assert await member.call("PUT", f"{path}s/x", user_options=options) == 400
    assert dispatcher.launched == []
    assert await member.call("POST", path, size="large", cpus=64) in {201, 202}
    assert await member.call("POST", f"{path}s/thesis") in {201, 202}
    assert [(one.name, one.size) for one in dispatcher.launched] == [
        ("", "large"),
        ("thesis", "small"),
    ]


async def test_size_that_is_no_longer_offered_is_not_held_against_anybody(
    member: SignedIn, dispatcher: DispatcherStandIn
) -> None:
    path = f"users/{member.name}/server"
    # As an earlier version, or an earlier configuration, may have left it.
    assert await member.call("PATCH", path, user_options={"colour": "blue"}) == 200
    assert await member.call("POST", path) in {201, 202}
    assert [one.size for one in dispatcher.launched] == ["small"]
