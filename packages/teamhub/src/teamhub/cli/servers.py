"""`servers`: members' notebook servers."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Sequence
from typing import Any

import click

from teamhub.accounts import account_name
from teamhub.cli.answers import ago, print_fields, print_json, print_lines, print_table
from teamhub.cli.choice import Choice, common_options, opened_store
from teamhub.cli.ending import SWEEP_SECONDS, end_and_wait, require_dispatcher
from teamhub.cli.offers import server_names, user_names
from teamhub.cli.workload_fields import life_of, remedy, size_in_words, why
from teamhub.cli.workload_log import Log
from teamhub.deployment import Deployment
from teamhub.errors import AccountError, NotFoundError, NotRunningError, TeamhubError
from teamhub.model import Kind, Status, Workload
from teamhub.operator import Operator
from teamhub.store import Store
from teamhub.supervisor.terminal import Terminal

_SHOWN_LINES = 10
_MARGIN_SECONDS = 30
_NAME_PATTERN = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"


@click.group()
def servers() -> None:
    """List, start and stop notebook servers."""


@servers.command(name="list")
@click.option("--user", metavar="NAME", shell_complete=user_names, help="Only those of this user.")
@common_options
def list_servers(choice: Choice, user: str | None) -> None:
    """List the notebook servers that there are, oldest first.

    Example: teamhub servers list
    """
    owner = account_name(user) if user is not None else None

    async def run() -> Sequence[Workload]:
        async with opened_store(choice.deployment()) as store:
            return await store.workloads.living(Kind.SERVER, owner)

    found = asyncio.run(run())
    if choice.as_json:
        print_json([_as_json(server) for server in found])
        return
    if not found:
        whose = f" of {owner}" if owner else ""
        Terminal().say(f"no notebook servers{whose} are running")
        return
    print_table(
        ("USER", "NAME", "STATUS", "SIZE", "NODE", "SINCE"),
        [
            (
                server.owner,
                server.name or "-",
                server.status.value,
                server.size or "-",
                server.node or "-",
                ago(server.created_at),
            )
            for server in found
        ],
    )


@servers.command()
@click.argument("which", metavar="USER[/NAME]", shell_complete=server_names)
@common_options
def show(choice: Choice, which: str) -> None:
    """Say all that is known of a notebook server, or of the last one that has ended.

    Example: teamhub servers show alice
    """
    asyncio.run(_show(choice, which))


@servers.command()
@click.argument("which", metavar="USER[/NAME]", shell_complete=user_names)
@common_options
def start(choice: Choice, which: str) -> None:
    """Start a notebook server and wait until it is up.

    Example: teamhub servers start alice
    """
    terminal = Terminal()
    deployment = choice.deployment()
    started = asyncio.run(_start(deployment, terminal, which))
    terminal.quiet()
    if choice.as_json:
        print_json(_as_json(started))
        return
    path = "/".join(filter(None, ("user", started.owner, started.name)))
    terminal.say(f"{_whose(started)} runs: {deployment.public_url()}/{path}/")


@servers.command()
@click.argument(
    "which", metavar="USER[/NAME]...", nargs=-1, required=True, shell_complete=server_names
)
@common_options
def stop(choice: Choice, which: tuple[str, ...]) -> None:
    """Stop notebook servers and wait until they have ended. Kernels go on.

    Example: teamhub servers stop alice bob/second
    """
    terminal = Terminal()
    ended = asyncio.run(_stop(choice.deployment(), terminal, which))
    terminal.quiet()
    if choice.as_json:
        print_json([_as_json(server) for server in ended])
        return
    for server in ended:
        terminal.say(f"{_whose(server)} has ended")


async def _show(choice: Choice, which: str) -> None:
    deployment = choice.deployment()
    owner, name = _parsed(which)
    async with opened_store(deployment) as store:
        found = [one for one in await store.workloads.all(Kind.SERVER, owner) if one.name == name]
        if not found:
            raise _none(owner, name)
        server = found[-1]
        log = Log(deployment, server).tail(_SHOWN_LINES)
    if choice.as_json:
        about = {
            "attempt": server.attempt,
            "remedy": remedy(server),
            "ended_at": server.changed_at if server.status.ended else None,
            "address": _address(server),
            "log": log,
        }
        print_json(_as_json(server) | about)
        return
    print_fields(
        [
            ("user", server.owner),
            ("name", server.name or "-"),
            ("size", size_in_words(deployment.config, server.size)),
            ("node", server.node or "-"),
            ("address", _address(server) or "-"),
            ("status", server.status.value),
            ("reason", why(server)),
            ("what to do", remedy(server)),
            *life_of(server),
            ("workload", server.id),
        ]
    )
    if log:
        click.echo("\nthe last lines of its log:")
        print_lines("\n".join(log), indent="  ")


def _address(server: Workload) -> str | None:
    """Where it listens; of one that has ended, another may listen there now."""
    return str(server.address) if server.address and not server.status.ended else None


async def _stop(
    deployment: Deployment, terminal: Terminal, which: Sequence[str]
) -> Sequence[Workload]:
    async with opened_store(deployment, listen=True) as store:
        found: dict[str, Workload] = {}
        for owner, name in map(_parsed, which):
            server = await store.workloads.server(owner, name)
            if server is None:
                raise _none(owner, name)
            found[server.id] = server
        await require_dispatcher(deployment, store)
        async with Operator(deployment) as operator:
            for server in found.values():
                terminal.progress(f"stopping {_whose(server)}")
                # Where the hub is away or has lost track of it, the dispatcher ends it all the
                # same, and the hub finds that it has ended.
                with contextlib.suppress(NotFoundError, NotRunningError):
                    await operator.stop_server(server.owner, server.name)
        return await end_and_wait(deployment, store, terminal, list(found.values()))


async def _start(deployment: Deployment, terminal: Terminal, which: str) -> Workload:
    owner, name = _parsed(which)
    if name and not re.fullmatch(_NAME_PATTERN, name):
        raise AccountError(
            f"{name[:70]!r} cannot be the name of a notebook server: use 1 to 63 of a-z, 0-9 "
            "and '-', beginning and ending with a letter or a digit"
        )
    async with opened_store(deployment, listen=True) as store:
        account = await store.accounts.get(owner)
        if account is None or account.waiting:
            raise NotFoundError(f"there is no user called {owner!r}; see `teamhub users list`")
        running = await store.workloads.server(owner, name)
        if running is not None and running.status is Status.RUNNING:
            return running
        async with Operator(deployment) as operator:
            await operator.ensure_user(owner)
            terminal.progress(f"starting {_called(owner, name)}")
            await operator.start_server(owner, name)
        return await _until_up(deployment, store, owner, name)


async def _until_up(deployment: Deployment, store: Store, owner: str, name: str) -> Workload:
    """Wait for a server whose start takes longer than the hub's answer."""
    deadline = time.monotonic() + deployment.config.servers.start_timeout_seconds + _MARGIN_SECONDS
    with store.subscribe() as changes:
        while True:
            found = [
                one for one in await store.workloads.all(Kind.SERVER, owner) if one.name == name
            ]
            last = found[-1] if found else None
            if last is not None and last.status is Status.RUNNING:
                return last
            if last is not None and last.status.ended:
                raise TeamhubError(
                    f"{_called(owner, name)} did not start ({why(last)}); "
                    f"see `teamhub servers show {_argument(owner, name)}`"
                )
            if time.monotonic() > deadline:
                raise TeamhubError(
                    f"{_called(owner, name)} is not up yet; "
                    f"see `teamhub servers show {_argument(owner, name)}`"
                )
            await changes.wait(SWEEP_SECONDS)


def _parsed(which: str) -> tuple[str, str]:
    """Return a user and a server's name, empty for their default one."""
    user, _, name = which.partition("/")
    return account_name(user), name


def _none(owner: str, name: str) -> NotFoundError:
    shown = f"{owner}/{name[:70]}" if name else owner
    return NotFoundError(f"no notebook server {shown!r} is running; see `teamhub servers list`")


def _argument(owner: str, name: str) -> str:
    return f"{owner}/{name}" if name else owner


def _called(owner: str, name: str) -> str:
    return f"{owner}'s notebook server{f' {name}' if name else ''}"


def _whose(server: Workload) -> str:
    return _called(server.owner, server.name)


def _as_json(server: Workload) -> dict[str, Any]:
    return {
        "id": server.id,
        "user": server.owner,
        "name": server.name,
        "size": server.size,
        "status": server.status.value,
        "reason": server.reason.value if server.reason else None,
        "detail": server.detail,
        "created_at": server.created_at,
        "started_at": server.started_at,
        "node": server.node,
    }
