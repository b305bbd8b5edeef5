"""`users import`: many accounts from a file."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from teamhub.accounts import Added, Listed, add_users, read_user_file
from teamhub.cli.answers import counted, print_json, print_table
from teamhub.cli.choice import Choice, common_options, opened_store
from teamhub.cli.hub import make_known
from teamhub.deployment import Deployment
from teamhub.errors import AccountError
from teamhub.supervisor.terminal import Terminal

_FILE_BYTES = 1024**2
_STDIN = "-"


def _files(_: click.Context, __: click.Parameter, begun: str) -> list[CompletionItem]:
    """Have the shell offer files. The type does not: it would look at the file by itself."""
    return [CompletionItem(begun, type="file")]


@click.command(name="import")
@click.argument("source", metavar="FILE", type=click.UNPROCESSED, shell_complete=_files)
@common_options
def import_users(choice: Choice, source: str) -> None:
    """Add those whom FILE ("-": what is piped in) names, all or none, and print their passwords.

    One a line: `alice`, or `alice admin`; what follows a "#" is left out. Who has an account
    already is left as they are. Example: teamhub users import team.txt
    """
    deployment = choice.deployment()
    listed = _read(source)
    terminal = Terminal()
    added, there = asyncio.run(_import(deployment, terminal, listed))
    terminal.quiet()
    if choice.as_json:
        print_json(
            {
                "added": [asdict(one) | {"role": _role(one.admin)} for one in added],
                "already_there": list(there),
            }
        )
        return
    for name in there:
        terminal.say(f"{name} has an account already, which is left as it is")
    if not added:
        terminal.say("nobody was added")
        return
    terminal.say(
        f"{counted(len(added), 'user')} added; the passwords are shown this once, and changed at "
        "the first sign-in"
    )
    print_table(
        ("NAME", "ROLE", "ONE-TIME PASSWORD"),
        [(one.name, _role(one.admin), one.one_time_password) for one in added],
    )


async def _import(
    deployment: Deployment, terminal: Terminal, listed: Sequence[Listed]
) -> tuple[Sequence[Added], Sequence[str]]:
    async with opened_store(deployment) as store:
        added, there = await add_users(
            store,
            listed,
            progress=lambda number: (
                terminal.progress(f"made {number} of {len(listed)} passwords")
                if terminal.changes
                else None
            ),
        )
    await make_known(deployment, [one.name for one in added])
    return added, there


def _read(source: str) -> Sequence[Listed]:
    shown = "what is piped in" if source == _STDIN else source
    try:
        if source == _STDIN:
            data = sys.stdin.buffer.read(_FILE_BYTES + 1)
        else:
            with Path(source).open("rb") as file:
                data = file.read(_FILE_BYTES + 1)
    except OSError as error:
        raise AccountError(f"{shown}: cannot be read: {error.strerror}") from None
    except ValueError:
        raise AccountError(f"{shown!r} cannot be a file's name") from None
    if len(data) > _FILE_BYTES:
        raise AccountError(f"{shown}: is larger than 1 MiB, so no list of users")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise AccountError(f"{shown}: line {line}: is not UTF-8 text") from None
    try:
        return read_user_file(text)
    except AccountError as error:
        raise AccountError(f"{shown}: {error}; nobody was added") from None


def _role(admin: bool) -> str:
    return "administrator" if admin else "member"
