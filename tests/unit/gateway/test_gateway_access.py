"""Whose token it is: cache, grace, and a hub that cannot say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from hub_standin import SERVICE_TOKEN, HubStandIn
from teamhub.gateway.access import Access, Caller, HubAwayError, UnknownTokenError

CACHE_SECONDS = 60
GRACE_SECONDS = 300


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
async def hub() -> AsyncIterator[HubStandIn]:
    made = HubStandIn()
    made.knows("t", "ada")
    yield made
    await made.stop()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def access(hub: HubStandIn, clock: Clock) -> AsyncIterator[Access]:
    made = Access(await hub.start(), SERVICE_TOKEN, CACHE_SECONDS, GRACE_SECONDS, clock)
    await made.open()
    await made.open()
    yield made
    await made.close()
    await made.close()


async def test_a_token_is_its_users(access: Access, hub: HubStandIn) -> None:
    assert await access.caller("t") == Caller("ada", admin=False)
    hub.knows("root", "eve", admin=True)
    assert await access.caller("root") == Caller("eve", admin=True)


async def test_an_answer_is_believed_for_a_while(
    access: Access, hub: HubStandIn, clock: Clock
) -> None:
    await access.caller("t")
    clock.seconds += CACHE_SECONDS
    await access.caller("t")
    assert hub.asked["t"] == 1
    clock.seconds += 1
    await access.caller("t")
    assert hub.asked["t"] == 2


async def test_a_revoked_token_ends_with_the_cache(
    access: Access, hub: HubStandIn, clock: Clock
) -> None:
    await access.caller("t")
    del hub.tokens["t"]
    clock.seconds += CACHE_SECONDS + 1
    with pytest.raises(UnknownTokenError):
        await access.caller("t")


@pytest.mark.parametrize("how", ["database", "error", "stopped", "garbage"])
async def test_a_hub_that_cannot_say(
    access: Access, hub: HubStandIn, clock: Clock, how: str
) -> None:
    await access.caller("t")
    match how:
        case "database":
            hub.away = True
        case "error":
            hub.status = 502
        case "stopped":
            await hub.stop()
        case "garbage":
            hub.status = 200
    clock.seconds += GRACE_SECONDS
    assert await access.caller("t") == Caller("ada"), "within the grace"
    with pytest.raises(HubAwayError):
        await access.caller("never seen")
    clock.seconds += 1
    with pytest.raises(HubAwayError):
        await access.caller("t")
    assert not await access.hub_answers()


async def test_a_hub_that_cannot_say_of_one_token(
    access: Access, hub: HubStandIn, clock: Clock
) -> None:
    """On a full disk the hub knows whom it has just seen, us among them, and no others."""
    await access.caller("t")
    hub.knows("new", "bob")
    hub.unsure = {"t", "new"}
    assert await access.hub_answers()
    with pytest.raises(HubAwayError):
        await access.caller("new")
    clock.seconds += GRACE_SECONDS
    assert await access.caller("t") == Caller("ada"), "within the grace"
    hub.unsure.clear()
    assert await access.caller("new") == Caller("bob")


async def test_the_grace_is_counted_from_the_hubs_last_answer(
    access: Access, hub: HubStandIn, clock: Clock
) -> None:
    await access.caller("t")
    hub.away = True
    for _ in range(2):
        clock.seconds += GRACE_SECONDS / 2
        await access.caller("t")
    clock.seconds += 1
    with pytest.raises(HubAwayError):
        await access.caller("t")
    hub.away = False
    assert await access.caller("t") == Caller("ada")


async def test_a_hub_that_is_away_is_not_asked_with_every_request(
    access: Access, hub: HubStandIn, clock: Clock
) -> None:
    await access.caller("t")
    hub.away = True
    clock.seconds += CACHE_SECONDS + 1
    for _ in range(5):
        await access.caller("t")
    assert hub.asked["t"] == 2
    clock.seconds += CACHE_SECONDS
    await access.caller("t")
    assert hub.asked["t"] == 3


async def test_a_refusal_is_remembered_shortly_and_has_no_grace(
    access: Access, hub: HubStandIn, clock: Clock
) -> None:
    for _ in range(2):
        with pytest.raises(UnknownTokenError):
            await access.caller("new")
    assert hub.asked["new"] == 1
    clock.seconds += CACHE_SECONDS
    hub.away = True
    with pytest.raises(HubAwayError):
        await access.caller("new")
    hub.away = False
    hub.knows("new", "bob")
    assert await access.caller("new") == Caller("bob")


@pytest.mark.parametrize(
    ("scope", "kind", "good"),
    [
        ("access:services!service=gateway", "user", True),
        ("access:services", "user", True),
        ("access:services!service=other", "user", False),
        ("access:servers!user=ada", "user", False),
        ("access:services", "service", False),
    ],
)
async def test_scopes(access: Access, hub: HubStandIn, scope: str, kind: str, good: bool) -> None:
    hub.knows("x", "ada", scope=scope, kind=kind)
    if good:
        assert await access.caller("x") == Caller("ada")
    else:
        with pytest.raises(UnknownTokenError):
            await access.caller("x")


@pytest.mark.parametrize(
    "model",
    [[], {}, {"kind": "user", "name": "ada"}, {"kind": "user", "scopes": "access:services"}],
)
async def test_an_answer_that_is_not_a_user(access: Access, hub: HubStandIn, model: object) -> None:
    hub.tokens["x"] = model  # type: ignore[assignment]
    with pytest.raises(UnknownTokenError):
        await access.caller("x")


async def test_a_user_without_a_name(access: Access, hub: HubStandIn) -> None:
    hub.tokens["x"] = {"kind": "user", "scopes": ["access:services"]}
    with pytest.raises(UnknownTokenError):
        await access.caller("x")


async def test_many_at_once_ask_once(access: Access, hub: HubStandIn) -> None:
    hub.gate = asyncio.Event()
    asking = [asyncio.create_task(access.caller("t")) for _ in range(20)]
    await asyncio.wait_for(hub.arrived.wait(), 10)
    asking[0].cancel()
    hub.gate.set()
    found = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError)
    assert found[1:] == [Caller("ada")] * 19
    assert hub.asked["t"] == 1


async def test_many_at_once_are_refused_by_one_answer(access: Access, hub: HubStandIn) -> None:
    found = await asyncio.gather(*(access.caller("no") for _ in range(9)), return_exceptions=True)
    assert all(isinstance(each, UnknownTokenError) for each in found)
    assert hub.asked["no"] == 1


@pytest.mark.parametrize("token", ["", "a\nb", "é", "\ud800", "\0", "x" * 20_000])
async def test_tokens_that_no_hub_gave(access: Access, token: str) -> None:
    with pytest.raises((UnknownTokenError, HubAwayError)):
        await access.caller(token)


async def test_a_service_token_that_the_hub_does_not_know_is_told_as_away(hub: HubStandIn) -> None:
    access = Access(await hub.start(), "wrong", CACHE_SECONDS, GRACE_SECONDS)
    await access.open()
    assert not await access.hub_answers()
    with pytest.raises(HubAwayError):
        await access.caller("unknown")
    assert await access.caller("t") == Caller("ada")
    await access.close()


async def test_refusals_without_end_push_no_answer_out(
    access: Access, hub: HubStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("teamhub.gateway.access._KEPT", 10)
    await access.caller("t")
    for number in range(30):
        with pytest.raises(UnknownTokenError):
            await access.caller(f"guess{number}")
    hub.away = True
    assert (await access.caller("t")).name == "ada"
    assert hub.asked["t"] == 1
    assert len(access._refusals) == 10


async def test_what_was_known_is_forgotten_at_once(
    access: Access, hub: HubStandIn, clock: Clock
) -> None:
    await access.caller("t")
    del hub.tokens["t"]
    assert await access.caller("t") == Caller("ada")
    access.forget()
    with pytest.raises(UnknownTokenError):
        await access.caller("t")


async def test_who_waits_for_doubt_is_woken_by_a_revocation(access: Access) -> None:
    waiting = [asyncio.create_task(access.until_doubtful(3600)) for _ in range(2)]
    await asyncio.sleep(0)
    access.forget()
    async with asyncio.timeout(10):
        await asyncio.gather(*waiting)
        await access.until_doubtful(0.01)


async def test_an_answer_of_before_a_revocation_is_not_kept(
    access: Access, hub: HubStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub has answered; before the answer is here, the token is revoked and we are told."""
    ask = access._get
    revoked = asyncio.Event()

    async def slowly(token: str) -> tuple[int, dict[str, object]]:
        answer = await ask(token)
        if not revoked.is_set():
            revoked.set()
            del hub.tokens["t"]
            access.forget()
        return answer

    monkeypatch.setattr(access, "_get", slowly)
    with pytest.raises(UnknownTokenError):
        await access.caller("t")
