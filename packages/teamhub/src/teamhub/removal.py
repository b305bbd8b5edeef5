"""Removing a member: nothing of theirs runs, no token of theirs is good, and their home as asked.

The steps are in an order in which each may be the last: whoever is interrupted asks again, and
what is done already is found done.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from teamhub import homes
from teamhub.accounts import account_name
from teamhub.config import Config
from teamhub.errors import NotFoundError, TeamhubError
from teamhub.store import Store

_MARGIN_SECONDS = 30.0
_SWEEP_SECONDS = 1.0


class Home(StrEnum):
    """What becomes of the home of a member who is removed."""

    KEEP = "keep"
    ARCHIVE = "archive"
    DELETE = "delete"


@dataclass(frozen=True)
class Removed:
    """What was removed.

    Attributes:
        account: whether there was an account.
        archive: where the home is now, where it was archived.
        home: what became of it; KEEP also where there was none.
    """

    name: str
    account: bool
    home: Home
    archive: Path | None


async def remove_member(
    store: Store,
    config: Config,
    name: str,
    home: Home,
    *,
    forget: Callable[[str], Awaitable[bool]],
    progress: Callable[[str], None] = lambda _: None,
) -> Removed:
    """Remove a member: account, hub user with all tokens, kernels and servers, then the home.

    Asked again after an interruption, it goes on where it was. Somebody who waits for approval is
    declined by it.

    Args:
        store: open, and receiving wake-ups.
        config: the settings in force.
        name: whose.
        home: what is to become of their files.
        forget: removes the hub's user of that name with all tokens, and returns whether there was
            one.
        progress: told what is being done.

    Raises:
        AccountError: it cannot be a name.
        NotFoundError: there is no such member, and nothing of one.
        RefusedError: they are the only administrator; nothing has changed.
        TeamhubError: something of theirs has not ended in time, or the home cannot be dealt with;
            asking again goes on.
    """
    name = account_name(name)
    had_account = True
    try:
        await store.accounts.remove(name)
    except NotFoundError:
        had_account = False
    progress(f"ending {name}'s kernels and notebook servers")
    await _end_workloads(store, config, name)
    progress(f"revoking {name}'s tokens")
    had_user = await forget(name)
    await store.revocations.add()
    if not had_account and not had_user and not config.home_of(name).exists():
        raise NotFoundError(f"there is no user called {name!r}")
    # What a token of theirs has started until now.
    await _end_workloads(store, config, name)
    await store.facts.forget(name)
    archive, left = await _deal_with_home(config, name, home, progress)
    return Removed(name, had_account, left, archive)


async def _end_workloads(store: Store, config: Config, name: str) -> None:
    deadline = time.monotonic() + config.dispatcher.stop_timeout_seconds + _MARGIN_SECONDS
    with store.subscribe() as changes:
        # Again each time: a start that was under way may have added one meanwhile.
        while left := await store.workloads.want_all_stopped(name):
            if time.monotonic() > deadline:
                raise TeamhubError(
                    f"{left} kernels and notebook servers of {name} have not ended yet; "
                    "try again in a moment, `teamhub status` says whether the dispatcher works"
                )
            await changes.wait(_SWEEP_SECONDS)


async def _deal_with_home(
    config: Config, name: str, home: Home, progress: Callable[[str], None]
) -> tuple[Path | None, Home]:
    if home is Home.ARCHIVE:
        progress(f"archiving {name}'s home")
        archive = await _archive(config, name, progress)
        return archive, Home.ARCHIVE if archive else Home.KEEP
    if home is Home.DELETE:
        progress(f"deleting {name}'s home")
        gone = await asyncio.to_thread(homes.delete_home, config, name)
        return None, Home.DELETE if gone else Home.KEEP
    return None, Home.KEEP


async def _archive(config: Config, name: str, progress: Callable[[str], None]) -> Path | None:
    """Archive a home in a thread, which ends with us: else Ctrl-C would not end it."""
    loop = asyncio.get_running_loop()
    interrupted = threading.Event()

    def counted(files: int) -> None:
        if interrupted.is_set():
            raise TeamhubError(f"archiving {name}'s home was interrupted")
        loop.call_soon_threadsafe(progress, f"archiving {name}'s home: {files} files")

    try:
        return await asyncio.to_thread(homes.archive_home, config, name, counted)
    finally:
        interrupted.set()
