"""`users remove`: a member goes, with all that runs for them and every token."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import asdict, dataclass

import click

from teamhub.accounts import account_name
from teamhub.cli.answers import counted, print_json
from teamhub.cli.choice import Choice, common_options, opened_store
from teamhub.cli.ending import require_dispatcher
from teamhub.cli.hub import require_hub
from teamhub.cli.offers import account_names
from teamhub.deployment import Deployment
from teamhub.errors import NotFoundError, RefusedError
from teamhub.model import Kind
from teamhub.operator import Operator
from teamhub.removal import Home, Removed, remove_member
from teamhub.supervisor.terminal import Terminal


@dataclass(frozen=True)
class _Losses:
    """What a removal ends."""

    kernels: int
    servers: int
    tokens: int
    home: bool


@click.command()
@click.argument("name", shell_complete=account_names)
@click.option(
    "--home",
    type=click.Choice([each.value for each in Home]),
    default=Home.KEEP.value,
    show_default=True,
    help="What becomes of their files: archive puts them into `archive` of the data directory.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@common_options
def remove(choice: Choice, name: str, home: str, yes: bool) -> None:
    """Remove NAME: the account, every token, what runs for them, and their home as asked.

    Asked again after an interruption, it goes on where it was.
    Example: teamhub users remove alice --home archive
    """
    deployment = choice.deployment()
    known, wanted = account_name(name), Home(home)
    if not yes and not sys.stdin.isatty():
        raise click.UsageError("nobody is there to be asked, so --yes is needed")
    terminal = Terminal()
    removed = asyncio.run(_remove(deployment, terminal, known, wanted, yes=yes))
    terminal.quiet()
    if choice.as_json:
        print_json(asdict(removed) | {"archive": str(removed.archive) if removed.archive else None})
        return
    terminal.say(f"{known} is removed{_of_home(deployment, removed, wanted)}")


async def _remove(
    deployment: Deployment, terminal: Terminal, name: str, home: Home, *, yes: bool
) -> Removed:
    async with opened_store(deployment, listen=True) as store, Operator(deployment) as operator:
        user = await require_hub(deployment, operator, name, "removing a member")
        await require_dispatcher(deployment, store)
        account = await store.accounts.get(name)
        there = deployment.config.home_of(name).exists()
        # A home alone is of one who was removed before, and is dealt with where that is asked for.
        if account is None and user is None and (home is Home.KEEP or not there):
            raise NotFoundError(f"there is no user called {name!r}; see `teamhub users list`")
        if account is not None and account.admin and not account.waiting:
            admins = [one for one in await store.accounts.all() if one.admin and not one.waiting]
            if len(admins) == 1:
                raise RefusedError(
                    f"{name} is the only administrator; make somebody else one first "
                    "(`teamhub users role NAME administrator`)"
                )
        if not yes:
            losses = _Losses(
                len(await store.workloads.living(Kind.KERNEL, name)),
                len(await store.workloads.living(Kind.SERVER, name)),
                len(await operator.tokens(name)) if user is not None else 0,
                there,
            )
            if not click.confirm(_question(name, home, losses), err=True):
                raise RefusedError("nothing was removed")
        return await remove_member(
            store,
            deployment.config,
            name,
            home,
            forget=operator.delete_user,
            progress=terminal.progress,
        )


def _question(name: str, home: Home, losses: _Losses) -> str:
    ends = ", ".join(
        counted(number, what)
        for number, what in (
            (losses.kernels, "kernel"),
            (losses.servers, "notebook server"),
            (losses.tokens, "token"),
        )
        if number
    )
    parts = [f"{ends} of theirs will end" if ends else "nothing of theirs runs"]
    if losses.home:
        parts.append(
            {
                Home.KEEP: "their home is kept",
                Home.ARCHIVE: "their home is archived",
                Home.DELETE: "their home is DELETED",
            }[home]
        )
    return f"Remove {name}? {'; '.join(parts)}"


def _of_home(deployment: Deployment, removed: Removed, wanted: Home) -> str:
    if removed.archive is not None:
        return f"; their home is in {removed.archive}"
    if removed.home is Home.DELETE:
        return "; their home is deleted"
    home = deployment.config.home_of(removed.name)
    if home.exists():
        return f"; their home is kept in {home}"
    return "" if wanted is Home.KEEP else "; there was no home of theirs"
