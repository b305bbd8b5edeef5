"""`kernels`: what runs, what has become of it, its log, and ending it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import click

from teamhub.accounts import account_name
from teamhub.cli.answers import ago, print_fields, print_json, print_lines, print_table
from teamhub.cli.choice import Choice, common_options, opened_store
from teamhub.cli.ending import end_and_wait, require_dispatcher
from teamhub.cli.offers import all_kernel_ids, kernel_ids, user_names
from teamhub.cli.workload_fields import (
    deaths_in_words,
    environment_in_words,
    life_of,
    remedy,
    size_in_words,
    why,
)
from teamhub.cli.workload_log import Log
from teamhub.deployment import Deployment
from teamhub.errors import NotFoundError, RefusedError
from teamhub.model import Kind, Workload
from teamhub.store import Store
from teamhub.store.sessions import Session
from teamhub.supervisor.terminal import Terminal

_SHORT = 8
_SHOWN_LINES = 10


@click.group()
def kernels() -> None:
    """List, explain and end kernels."""


@kernels.command(name="list")
@click.option("--user", metavar="NAME", shell_complete=user_names, help="Only those of this user.")
@click.option("--all", "ended_too", is_flag=True, help="Also those that have ended.")
@common_options
def list_kernels(choice: Choice, user: str | None, ended_too: bool) -> None:
    """List the kernels that there are, oldest first.

    Example: teamhub kernels list --user alice --all
    """

    owner = account_name(user) if user is not None else None

    async def run() -> Sequence[Workload]:
        async with opened_store(choice.deployment()) as store:
            look = store.workloads.all if ended_too else store.workloads.living
            return await look(Kind.KERNEL, owner)

    found = asyncio.run(run())
    if choice.as_json:
        print_json([_as_json(kernel) for kernel in found])
        return
    if not found:
        whose = f" of {user}" if user else ""
        Terminal().say(
            f"there is no record of a kernel{whose}"
            if ended_too
            else f"no kernels{whose} are running"
        )
        return
    print_table(
        ("ID", "USER", "KERNEL", "STATUS", "STATE", "LAST ACTIVE", "SINCE", "WHY"),
        [
            (
                kernel.id[:_SHORT],
                kernel.owner,
                kernel.name,
                kernel.status.value,
                "-" if kernel.status.ended else kernel.execution_state,
                ago(kernel.last_activity_at),
                ago(kernel.created_at),
                why(kernel),
            )
            for kernel in found
        ],
    )


@kernels.command()
@click.argument("kernel_id", metavar="ID", shell_complete=all_kernel_ids)
@common_options
def show(choice: Choice, kernel_id: str) -> None:
    """Say all that is known of the kernel ID (its first characters suffice).

    Example: teamhub kernels show 3f2a
    """
    asyncio.run(_show(choice, kernel_id))


@kernels.command()
@click.argument("kernel_id", metavar="ID", shell_complete=all_kernel_ids)
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(1, 1_000_000),
    default=100,
    metavar="N",
    show_default=True,
    help="How many lines, from the end.",
)
@click.option("-f", "--follow", is_flag=True, help="Go on until it has ended. Ctrl-C leaves.")
@common_options
def logs(choice: Choice, kernel_id: str, lines: int, follow: bool) -> None:
    """Print what the kernel ID has written beside its notebooks, and its shim about it.

    What other processes say of it, too: teamhub logs --kernel ID.
    Example: teamhub kernels logs 3f2a -f
    """

    async def run() -> None:
        async with opened_store(choice.deployment()) as store:
            kernel = one_of(await store.workloads.all(Kind.KERNEL), kernel_id)
            log = Log(choice.deployment(), kernel)
            if follow:
                await log.follow(store, lines, as_json=choice.as_json)
                return
            found = log.tail(lines)
            if choice.as_json:
                print_json({"id": kernel.id, "lines": found})
            elif found:
                print_lines("\n".join(found))
            else:
                Terminal().say(f"kernel {kernel.id[:_SHORT]} has written nothing")

    asyncio.run(run())


@kernels.command()
@click.argument("kernel_ids", metavar="ID...", nargs=-1, shell_complete=kernel_ids)
@click.option("--user", metavar="NAME", shell_complete=user_names, help="With --all: whose.")
@click.option("--all", "every", is_flag=True, help="With --user: all of theirs.")
@common_options
def stop(choice: Choice, kernel_ids: tuple[str, ...], user: str | None, every: bool) -> None:
    """End kernels (first characters of an ID suffice) and wait until they have ended.

    What their memory holds is lost. Example: teamhub kernels stop --user alice --all
    """
    if bool(kernel_ids) == every or every != (user is not None):
        raise click.UsageError("missing argument 'ID', or both --user NAME and --all")
    terminal = Terminal()
    ended = asyncio.run(_stop(choice.deployment(), terminal, kernel_ids, user))
    terminal.quiet()
    if choice.as_json:
        print_json([_as_json(kernel) for kernel in ended])
        return
    for kernel in ended:
        terminal.say(f"kernel {kernel.id[:_SHORT]} of {kernel.owner} has ended")
    if not ended:
        terminal.say(f"no kernels of {user} are running")


async def _stop(
    deployment: Deployment, terminal: Terminal, prefixes: Sequence[str], user: str | None
) -> Sequence[Workload]:
    async with opened_store(deployment, listen=True) as store:
        if user is not None:
            found = await store.workloads.living(Kind.KERNEL, account_name(user))
        else:
            every = await store.workloads.all(Kind.KERNEL)
            # Each once, and all of them before anything changes.
            found = list({one.id: one for one in (_living_of(every, p) for p in prefixes)}.values())
        await require_dispatcher(deployment, store)
        return await end_and_wait(deployment, store, terminal, found)


async def _show(choice: Choice, kernel_id: str) -> None:
    deployment = choice.deployment()
    async with opened_store(deployment) as store:
        kernel = one_of(await store.workloads.all(Kind.KERNEL), kernel_id)
        sessions = await _sessions(store, kernel)
        log = Log(deployment, kernel).tail(_SHOWN_LINES)
    if choice.as_json:
        about = _as_json(kernel) | {
            "attempt": kernel.attempt,
            "remedy": remedy(kernel),
            "ended_at": kernel.changed_at if kernel.status.ended else None,
            "notebooks": [
                {"session": one.id, "path": one.path, "name": one.name, "type": one.type}
                for one in sessions
            ],
            "log": log,
        }
        print_json(about)
        return
    print_fields(
        [
            ("kernel", kernel.id),
            ("user", kernel.owner),
            ("kernelspec", kernel.name),
            ("environment", environment_in_words(deployment.config, kernel.environment)),
            ("size", size_in_words(deployment.config, kernel.size)),
            ("node", kernel.node or "-"),
            ("status", kernel.status.value + _state(kernel)),
            ("reason", why(kernel) if kernel.reason or kernel.detail else ""),
            ("restarts", deaths_in_words(kernel)),
            ("what to do", remedy(kernel)),
            *life_of(kernel),
            ("last active", "" if kernel.status.ended else f"{ago(kernel.last_activity_at)} ago"),
            ("notebooks", ", ".join(one.path for one in sessions) or "-"),
        ]
    )
    if log:
        click.echo(f"\nthe last lines of its log (`teamhub kernels logs {kernel.id[:_SHORT]}`):")
        print_lines("\n".join(log), indent="  ")


async def _sessions(store: Store, kernel: Workload) -> Sequence[Session]:
    return [one for one in await store.sessions.of(kernel.owner) if one.kernel_id == kernel.id]


def one_of(found: Sequence[Workload], text: str) -> Workload:
    """Return the kernel whose id this is, or whose id begins with it.

    Raises:
        NotFoundError: there is none.
        RefusedError: there are several.
    """
    prefix = text.strip().lower()
    fitting = [kernel for kernel in found if kernel.id.startswith(prefix)]
    if not prefix or not fitting:
        shown = prefix if len(prefix) <= 40 else prefix[:40] + "..."
        raise NotFoundError(
            f"no kernel's id begins with {shown!r}; see `teamhub kernels list` "
            "(with --all for those that have ended)"
        )
    if len(fitting) > 1:
        some = ", ".join(kernel.id[: len(prefix) + 4] for kernel in fitting[:5])
        raise RefusedError(
            f"{len(fitting)} kernels' ids begin with {prefix!r}: {some}; give more of it"
        )
    return fitting[0]


def _living_of(every: Sequence[Workload], text: str) -> Workload:
    """Return the kernel with such an id that has not ended.

    Raises:
        NotFoundError: there is none, or it has ended.
        RefusedError: there are several.
    """
    living = [kernel for kernel in every if not kernel.status.ended]
    try:
        return one_of(living, text)
    except NotFoundError:
        ended = one_of(every, text)
    said = why(ended)
    raise NotFoundError(
        f"kernel {ended.id[:_SHORT]} of {ended.owner} has ended already"
        f"{f' ({said})' if said else ''}; `teamhub kernels show {ended.id[:_SHORT]}` says more"
    )


def _state(kernel: Workload) -> str:
    return "" if kernel.status.ended else f", {kernel.execution_state}"


def _as_json(kernel: Workload) -> dict[str, Any]:
    return {
        "id": kernel.id,
        "user": kernel.owner,
        "name": kernel.name,
        "environment": kernel.environment,
        "size": kernel.size,
        "status": kernel.status.value,
        "reason": kernel.reason.value if kernel.reason else None,
        "detail": kernel.detail,
        "execution_state": kernel.execution_state,
        "last_activity_at": kernel.last_activity_at,
        "created_at": kernel.created_at,
        "started_at": kernel.started_at,
        "node": kernel.node,
        "deaths": kernel.deaths.number if kernel.deaths else 0,
        "last_exit": kernel.deaths.last_exit if kernel.deaths else None,
        "last_exit_at": kernel.deaths.last_exit_at if kernel.deaths else None,
    }
