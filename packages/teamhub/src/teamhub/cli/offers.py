"""What a shell offers at TAB: names and ids of the deployment that the line names.

A shell asks while somebody types: whatever goes wrong, and whatever takes too long, is no offer.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import threading
from collections.abc import Awaitable, Callable, Iterable, Sequence

import click
from click.shell_completion import CompletionItem

from teamhub.cli.choice import Choice, opened_store
from teamhub.config.documentation import settings, tables
from teamhub.deployment import Deployment
from teamhub.errors import NotFoundError
from teamhub.model import Kind
from teamhub.operator import Operator, Token
from teamhub.supervisor.lock import holder

_SECONDS = 1.5
_AT_ONCE = 8
_DESCRIBED_CHARACTERS = 60

Offer = Sequence[tuple[str, str]]
"""Words, and what is said beside each."""

_Look = Callable[[Deployment, click.Context], Awaitable[Offer]]
_Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _completing(look: _Look) -> _Complete:
    def complete(ctx: click.Context, _: click.Parameter, begun: str) -> list[CompletionItem]:
        offer: Offer = ()
        # For good: this process ends with its answer. A thread that the database has of its own
        # may come to its end after us, and would tell the terminal that nobody waits for it.
        threading.excepthook = _silent
        try:
            with (
                contextlib.redirect_stdout(io.StringIO()),
                contextlib.redirect_stderr(io.StringIO()),
            ):
                offer = asyncio.run(_in_time(look, ctx))
        except Exception:
            # In the middle of a line that somebody types there is no place for an error.
            return []
        return [
            CompletionItem(word, help=said[:_DESCRIBED_CHARACTERS])
            for word, said in offer
            if word.startswith(begun) and _is_plain(word) and (not said or said.isprintable())
        ]

    return complete


def _silent(_: threading.ExceptHookArgs) -> None:
    return None


async def _in_time(look: _Look, ctx: click.Context) -> Offer:
    deployment = Choice(ctx.params.get("data_dir"), ctx.params.get("config_file"), False)
    async with asyncio.timeout(_SECONDS):
        return await look(deployment.deployment(), ctx)


async def _users(deployment: Deployment, _: click.Context) -> Offer:
    async with opened_store(deployment) as store:
        found = await store.accounts.all()
    return [(one.name, "administrator" if one.admin else "") for one in found if not one.waiting]


async def _waiting(deployment: Deployment, _: click.Context) -> Offer:
    async with opened_store(deployment) as store:
        return [(one.name, "") for one in await store.accounts.all() if one.waiting]


async def _anybody(deployment: Deployment, _: click.Context) -> Offer:
    async with opened_store(deployment) as store:
        return [(one.name, "") for one in await store.accounts.all()]


async def _kernels(deployment: Deployment, _: click.Context) -> Offer:
    async with opened_store(deployment) as store:
        found = await store.workloads.living(Kind.KERNEL)
    return [(one.id, f"{one.owner} {one.name} {one.status.value}") for one in found]


async def _all_kernels(deployment: Deployment, _: click.Context) -> Offer:
    async with opened_store(deployment) as store:
        newest_first = reversed(await store.workloads.all(Kind.KERNEL))
    found = sorted(newest_first, key=lambda one: one.status.ended)
    return [(one.id, f"{one.owner} {one.name} {one.status.value}") for one in found]


async def _servers(deployment: Deployment, _: click.Context) -> Offer:
    async with opened_store(deployment) as store:
        found = await store.workloads.living(Kind.SERVER)
    return [
        (f"{one.owner}/{one.name}" if one.name else one.owner, one.status.value) for one in found
    ]


async def _groups(deployment: Deployment, _: click.Context) -> Offer:
    if holder(deployment.data_dir) is None:
        return ()
    async with Operator(deployment, timeout_seconds=_SECONDS) as operator:
        return [(one.name, f"{len(one.members)} members") for one in await operator.groups()]


async def _tokens(deployment: Deployment, ctx: click.Context) -> Offer:
    if holder(deployment.data_dir) is None:
        return ()
    user = ctx.params.get("user")
    async with Operator(deployment, timeout_seconds=_SECONDS) as operator:
        names: Iterable[str] = [user] if user else [one.name for one in await operator.users()]
        at_once = asyncio.Semaphore(_AT_ONCE)

        async def of(name: str) -> Sequence[Token]:
            async with at_once:
                # Of somebody removed just now, there are none.
                with contextlib.suppress(NotFoundError):
                    return await operator.tokens(name)
                return ()

        found = [one for some in await asyncio.gather(*map(of, names)) for one in some]
    return [(token.id, f"{token.user}: {token.note}") for token in found]


def setting_paths(_: click.Context, __: click.Parameter, begun: str) -> list[CompletionItem]:
    """Offer the paths of all tables and settings; the same for every deployment."""
    paths = {path for path in (*tables(), *(one.path for one in settings())) if path}
    return [CompletionItem(path) for path in sorted(paths) if path.startswith(begun)]


def own_setting_paths(
    ctx: click.Context, parameter: click.Parameter, begun: str
) -> list[CompletionItem]:
    """Offer those of them that are some deployment's as they stand: no NAME of an entry."""
    paths = {one.value.partition(".NAME")[0] for one in setting_paths(ctx, parameter, "")}
    return [CompletionItem(path) for path in sorted(paths) if path.startswith(begun)]


def _is_plain(word: str) -> bool:
    """Whether a shell takes it as one word, and its protocol as one line."""
    return bool(word) and word.isprintable() and not any(one in " '\"\\$`;&|<>()" for one in word)


user_names = _completing(_users)
"""Those who may sign in."""
waiting_names = _completing(_waiting)
"""Those who wait for approval."""
account_names = _completing(_anybody)
"""All of them."""
kernel_ids = _completing(_kernels)
"""Kernels that have not ended."""
all_kernel_ids = _completing(_all_kernels)
"""Kernels of which there is a record: those that have not ended first, the newest before others."""
server_names = _completing(_servers)
"""USER or USER/NAME of each notebook server that has not ended."""
group_names = _completing(_groups)
"""The hub's groups."""
token_ids = _completing(_tokens)
"""Tokens: those of `--user`, else all."""
