"""`groups`: the hub's groups of users. They need the team server running."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import click

from teamhub.accounts import account_name, group_name
from teamhub.cli.answers import counted, print_json, print_table
from teamhub.cli.choice import Choice, common_options, opened_store
from teamhub.cli.offers import group_names, user_names
from teamhub.errors import NotFoundError, RefusedError
from teamhub.operator import Group, Operator
from teamhub.supervisor.terminal import Terminal


@click.group()
def groups() -> None:
    """Put users into groups."""


@groups.command(name="list")
@common_options
def list_groups(choice: Choice) -> None:
    """List all groups with their members.

    Example: teamhub groups list
    """

    async def run() -> Sequence[Group]:
        async with Operator(choice.deployment()) as operator:
            return await operator.groups()

    found = asyncio.run(run())
    if choice.as_json:
        print_json([_as_json(group) for group in found])
        return
    if not found:
        Terminal().say("there are no groups; `teamhub groups create NAME` makes one")
        return
    print_table(
        ("GROUP", "USERS", "WHO"),
        [(group.name, str(len(group.members)), ", ".join(group.members)) for group in found],
    )


@groups.command()
@click.argument("name")
@common_options
def create(choice: Choice, name: str) -> None:
    """Make the group NAME, with nobody in it.

    Example: teamhub groups create biology
    """
    deployment = choice.deployment()
    wanted = group_name(name)

    async def run() -> None:
        async with Operator(deployment) as operator:
            if any(group.name == wanted for group in await operator.groups()):
                raise RefusedError(f"there is a group called {wanted!r} already")
            await operator.create_group(wanted)

    asyncio.run(run())
    if wanted != name:
        Terminal().say(f"names of groups are lower case: this one is {wanted!r}")
    _tell(choice, Group(wanted, ()), f"the group {wanted} is made")


@groups.command()
@click.argument("name", shell_complete=group_names)
@common_options
def delete(choice: Choice, name: str) -> None:
    """Delete the group NAME. Its members stay.

    Example: teamhub groups delete biology
    """
    deployment = choice.deployment()

    async def run() -> Group:
        async with Operator(deployment) as operator:
            group = await _group(operator, name)
            await operator.delete_group(group.name)
            return group

    group = asyncio.run(run())
    _tell(
        choice,
        group,
        f"the group {group.name} is deleted; {counted(len(group.members), 'user')} were in it",
    )


@groups.command()
@click.argument("group", shell_complete=group_names)
@click.argument("names", metavar="NAME...", nargs=-1, required=True, shell_complete=user_names)
@common_options
def add(choice: Choice, group: str, names: tuple[str, ...]) -> None:
    """Put users into GROUP: all of them, or none where one has no account.

    Example: teamhub groups add biology alice bob
    """
    deployment = choice.deployment()
    wanted = list(dict.fromkeys(map(account_name, names)))

    async def run() -> Group:
        async with opened_store(deployment) as store:
            there = {one.name for one in await store.accounts.all() if not one.waiting}
        for name in wanted:
            if name not in there:
                raise NotFoundError(
                    f"there is no user called {name!r}; `teamhub users add {name}` adds one"
                )
        async with Operator(deployment) as operator:
            found = await _group(operator, group)
            for name in wanted:
                # They may not have signed in yet, and the hub's groups are of those it knows.
                await operator.ensure_user(name)
            await operator.add_to_group(found.name, wanted)
            return await _group(operator, found.name)

    found = asyncio.run(run())
    _tell(choice, found, f"{counted(len(found.members), 'user')} in {found.name} now")


@groups.command()
@click.argument("group", shell_complete=group_names)
@click.argument("names", metavar="NAME...", nargs=-1, required=True, shell_complete=user_names)
@common_options
def remove(choice: Choice, group: str, names: tuple[str, ...]) -> None:
    """Take users out of GROUP: all of them, or none where one is not in it.

    Example: teamhub groups remove biology bob
    """
    deployment = choice.deployment()
    wanted = list(dict.fromkeys(map(account_name, names)))

    async def run() -> Group:
        async with Operator(deployment) as operator:
            found = await _group(operator, group)
            for name in wanted:
                if name not in found.members:
                    raise NotFoundError(f"{name!r} is not in the group {found.name}")
            await operator.remove_from_group(found.name, wanted)
            return await _group(operator, found.name)

    found = asyncio.run(run())
    _tell(choice, found, f"{counted(len(found.members), 'user')} in {found.name} now")


async def _group(operator: Operator, name: str) -> Group:
    for group in await operator.groups():
        if group.name == name.strip():
            return group
    shown = name if len(name) <= 70 else name[:70] + "..."
    raise NotFoundError(f"there is no group called {shown!r}; see `teamhub groups list`")


def _tell(choice: Choice, group: Group, said: str) -> None:
    if choice.as_json:
        print_json(_as_json(group))
    else:
        Terminal().say(said)


def _as_json(group: Group) -> dict[str, object]:
    return {"name": group.name, "members": list(group.members)}
