"""Removing a member: every step may be the last, and whoever asks again goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from teamhub import homes, removal
from teamhub.config import Config
from teamhub.errors import AccountError, NotFoundError, RefusedError, TeamhubError
from teamhub.model import Desired, Kind, Status
from teamhub.removal import Home, Removed, remove_member
from teamhub.store import Store

OpenStore = Callable[[], Awaitable[Store]]


class HubStandIn:
    """Whom a hub knows. Proves nothing of what JupyterHub does when a user is deleted."""

    def __init__(self) -> None:
        self.users = {"root", "ada"}
        self.before: Callable[[], Awaitable[None]] | None = None

    async def forget(self, name: str) -> bool:
        if self.before is not None:
            await self.before()
        had = name in self.users
        self.users.discard(name)
        return had


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config.model_validate(
        {"data_dir": tmp_path / "data", "dispatcher": {"stop_timeout_seconds": 0.1}}
    )


@pytest.fixture
def hub() -> HubStandIn:
    return HubStandIn()


@pytest.fixture
async def ada(store: Store, config: Config) -> None:
    """A member with a kernel, a server and a file; bob has the same."""
    await store.accounts.add("root", "hash", one_time=True, admin=True)
    for name in ("ada", "bob"):
        await store.accounts.add(name, "hash", one_time=True, admin=False)
        await store.workloads.add(Kind.KERNEL, name, "python3")
        await store.workloads.add(Kind.SERVER, name, "")
        await store.facts.learn(name, "python3", {"status": "ok"})
        config.home_of(name).mkdir(parents=True)
        (config.home_of(name) / "work").write_text(name)


@pytest.fixture
async def dispatcher(open_store: OpenStore) -> AsyncIterator[None]:
    """Ends what is wanted to stop."""
    store = await open_store()
    epoch = await store.lease.take("test", 60)
    assert epoch is not None

    async def work() -> None:
        with store.subscribe() as changes:
            while True:
                for workload in await store.workloads.living():
                    if workload.desired is Desired.STOPPED:
                        await store.workloads.advance(workload, Status.STOPPED, epoch)
                await changes.wait(0.5)

    task = asyncio.create_task(work())
    yield
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def removed(
    store: Store, config: Config, hub: HubStandIn, home: Home = Home.KEEP, name: str = "ada"
) -> Removed:
    return await remove_member(store, config, name, home, forget=hub.forget)


async def nothing_left(store: Store, hub: HubStandIn) -> None:
    assert await store.accounts.get("ada") is None
    assert await store.workloads.living(owner="ada") == []
    assert await store.facts.kernel_info("ada", "python3") is None
    assert "ada" not in hub.users
    # And nobody else's.
    assert await store.accounts.get("bob") is not None
    assert len(await store.workloads.living(owner="bob")) == 2
    assert await store.facts.kernel_info("bob", "python3") is not None


@pytest.mark.usefixtures("ada", "dispatcher")
@pytest.mark.parametrize("home", Home)
async def test_all_of_it(store: Store, config: Config, hub: HubStandIn, home: Home) -> None:
    told: list[str] = []
    before = await store.revocations.count()
    found = await remove_member(
        store, config, " ADA ", home, forget=hub.forget, progress=told.append
    )
    await nothing_left(store, hub)
    assert await store.revocations.count() > before
    assert (found.name, found.account, found.home) == ("ada", True, home)
    assert config.home_of("ada").exists() is (home is Home.KEEP)
    assert (config.home_of("bob") / "work").exists()
    assert (found.archive is not None and found.archive.exists()) is (home is Home.ARCHIVE)
    assert told[:2] == ["ending ada's kernels and notebook servers", "revoking ada's tokens"]
    assert len(told) == (2 if home is Home.KEEP else 3)


class StepInterruptedError(Exception):
    """In place of a kill: nothing after it is done."""


def interrupt(monkeypatch: pytest.MonkeyPatch, target: Any, name: str, *, after: bool) -> None:
    """Have a step end everything, before or after it was done."""
    step = getattr(target, name)

    async def last(*arguments: Any, **options: Any) -> Any:
        if after:
            await step(*arguments, **options)
        raise StepInterruptedError

    monkeypatch.setattr(target, name, last)


STEPS: dict[str, Callable[[Store, HubStandIn], Any]] = {
    "remove": lambda store, _: store.accounts,
    "want_all_stopped": lambda store, _: store.workloads,
    "forget": lambda store, hub: store.facts,
    "add": lambda store, _: store.revocations,
    "_deal_with_home": lambda *_: removal,
}


@pytest.mark.usefixtures("ada", "dispatcher")
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", [*STEPS, "hub"])
async def test_interrupted_at_a_step_and_asked_again(
    store: Store,
    config: Config,
    hub: HubStandIn,
    monkeypatch: pytest.MonkeyPatch,
    *,
    step: str,
    after: bool,
) -> None:
    target = hub if step == "hub" else STEPS[step](store, hub)
    name = "forget" if step == "hub" else step
    with monkeypatch.context() as patched:
        interrupt(patched, target, name, after=after)
        with pytest.raises(StepInterruptedError):
            await removed(store, config, hub, Home.ARCHIVE)
    if (step, after) == ("_deal_with_home", True):
        # All was done; there is nobody of that name any more.
        with pytest.raises(NotFoundError):
            await removed(store, config, hub, Home.ARCHIVE)
    else:
        found = await removed(store, config, hub, Home.ARCHIVE)
        assert found.archive is not None
        assert found.archive.exists()
    await nothing_left(store, hub)
    assert not config.home_of("ada").exists()
    assert len(list((config.data_dir / "archive").iterdir())) == 1
    assert await store.revocations.count() > 0


@pytest.mark.usefixtures("ada", "dispatcher")
async def test_what_a_token_starts_meanwhile_ends_too(
    store: Store, config: Config, hub: HubStandIn
) -> None:
    """The gateway believes a token until it hears of its end."""

    async def start() -> None:
        await store.workloads.add(Kind.KERNEL, "ada", "python3")
        await store.workloads.add(Kind.SERVER, "ada", "")

    hub.before = start
    await removed(store, config, hub, Home.DELETE)
    await nothing_left(store, hub)
    assert not config.home_of("ada").exists()


@pytest.mark.usefixtures("ada")
async def test_what_does_not_end_keeps_the_home_and_says_so(
    store: Store, config: Config, hub: HubStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "_MARGIN_SECONDS", 0.0)
    monkeypatch.setattr(removal, "_SWEEP_SECONDS", 0.05)
    with pytest.raises(TeamhubError, match="2 kernels and notebook servers of ada have not ended"):
        await removed(store, config, hub, Home.DELETE)
    assert (config.home_of("ada") / "work").exists()
    assert {one.desired for one in await store.workloads.living(owner="ada")} == {Desired.STOPPED}
    assert {one.desired for one in await store.workloads.living(owner="bob")} == {Desired.RUNNING}


@pytest.mark.usefixtures("ada", "dispatcher")
async def test_the_only_administrator_stays_whole(
    store: Store, config: Config, hub: HubStandIn
) -> None:
    await store.workloads.add(Kind.KERNEL, "root", "python3")
    with pytest.raises(RefusedError, match="root is the only administrator"):
        await removed(store, config, hub, Home.DELETE, "root")
    assert await store.accounts.get("root") is not None
    assert "root" in hub.users
    (kernel,) = await store.workloads.living(owner="root")
    assert kernel.desired is Desired.RUNNING
    assert await store.revocations.count() == 0


@pytest.mark.usefixtures("ada", "dispatcher")
async def test_nobody_and_names_that_cannot_be(
    store: Store, config: Config, hub: HubStandIn
) -> None:
    (config.data_dir / "precious").touch()
    with pytest.raises(NotFoundError, match="there is no user called 'nobody'"):
        await removed(store, config, hub, Home.DELETE, "nobody")
    for name in ("..", "../bob", ".", "", "a/b", "ad\x00a", "\u0430da"):
        with pytest.raises(AccountError):
            await removed(store, config, hub, Home.DELETE, name)
    assert (config.data_dir / "precious").exists()
    assert len(await store.accounts.all()) == 3


@pytest.mark.usefixtures("ada", "dispatcher")
async def test_one_whom_the_hub_never_knew_and_one_without_an_account(
    store: Store, config: Config, hub: HubStandIn
) -> None:
    assert (await removed(store, config, hub, name="bob")).account
    hub.users.add("eve")
    found = await removed(store, config, hub, name="eve")
    assert (found.account, found.home, found.archive) == (False, Home.KEEP, None)
    assert "eve" not in hub.users


@pytest.mark.usefixtures("ada", "dispatcher")
async def test_whoever_is_cancelled_ends_the_archive_too(
    store: Store, config: Config, hub: HubStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C: the thread must not go on and delete the home."""
    for number in range(1000):
        (config.home_of("ada") / str(number)).touch()
    monkeypatch.setattr(homes, "_EVERY", 1)
    begun = asyncio.Event()

    def progress(text: str) -> None:
        if text.endswith("files"):
            begun.set()

    task = asyncio.create_task(
        remove_member(store, config, "ada", Home.ARCHIVE, forget=hub.forget, progress=progress)
    )
    async with asyncio.timeout(30):
        await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    # The thread ends by itself, and with it what it had begun.
    await asyncio.get_running_loop().shutdown_default_executor()
    assert list((config.data_dir / "archive").iterdir()) == []
    assert len(list(config.home_of("ada").iterdir())) == 1001
