"""`users`: the local accounts. Most of it works with the server running or not."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import click

from teamhub.accounts import account_name, add_user, reset_password
from teamhub.cli.answers import ago, counted, moment, print_json, print_table
from teamhub.cli.choice import Choice, common_options, opened_store
from teamhub.cli.hub import make_known, require_hub, revoke_all
from teamhub.cli.offers import user_names, waiting_names
from teamhub.cli.user_files import import_users
from teamhub.cli.user_removal import remove
from teamhub.deployment import Deployment
from teamhub.errors import NotFoundError, TeamhubError
from teamhub.operator import KnownUser, Operator
from teamhub.store.accounts import Account
from teamhub.supervisor.lock import holder
from teamhub.supervisor.terminal import Terminal

_ROLES = {True: "administrator", False: "member"}
_ADMIN = "admin"
"""What people write for an administrator, as in `users add --admin`."""


@click.group()
def users() -> None:
    """Add, list, help and remove the people who may sign in."""


users.add_command(import_users)
users.add_command(remove)


@users.command()
@click.argument("name")
@click.option("--admin", is_flag=True, help="An administrator, not a member.")
@common_options
def add(choice: Choice, name: str, admin: bool) -> None:
    """Add NAME and print a one-time password, which the first sign-in changes.

    Example: teamhub users add alice
    """
    deployment = choice.deployment()
    password = asyncio.run(_add(deployment, name, admin=admin))
    known = account_name(name)
    if known != name:
        Terminal().say(f"user names are lower case and without blanks: this one is {known!r}")
    _tell(choice, known, password, admin=admin)


@users.command(name="list")
@click.option("--waiting", is_flag=True, help="Only those who wait for approval.")
@common_options
def list_users(choice: Choice, waiting: bool) -> None:
    """List all accounts.

    Example: teamhub users list --waiting
    """
    asyncio.run(_list(choice, only_waiting=waiting))


@users.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True, shell_complete=waiting_names)
@common_options
def approve(choice: Choice, names: tuple[str, ...]) -> None:
    """Let those in who signed up and wait: all of them, or none where one does not wait.

    Example: teamhub users approve alice bob
    """
    deployment = choice.deployment()
    approved = asyncio.run(_approve(deployment, names))
    if choice.as_json:
        print_json([{"name": name, "state": "active"} for name in approved])
        return
    for name in approved:
        Terminal().say(f"{name} can sign in now, with the password of their sign-up")


@users.command()
@click.argument("name", shell_complete=waiting_names)
@common_options
def decline(choice: Choice, name: str) -> None:
    """Forget NAME, who signed up and waits. They may sign up again.

    Example: teamhub users decline mallory
    """
    deployment = choice.deployment()
    declined = account_name(name)

    async def run() -> None:
        async with opened_store(deployment) as store:
            await store.accounts.remove(declined, only_waiting=True)

    asyncio.run(run())
    if choice.as_json:
        print_json({"name": declined, "state": "declined"})
    else:
        Terminal().say(f"{declined} is declined; the name is free again")


@users.command()
@click.argument("name", shell_complete=user_names)
@click.option(
    "--revoke-tokens", is_flag=True, help="Also revoke every token: for a password that leaked."
)
@common_options
def reset(choice: Choice, name: str, revoke_tokens: bool) -> None:
    """Give NAME a new one-time password, which voids the old password.

    Their kernels and notebook servers go on. Example: teamhub users reset alice
    """
    deployment = choice.deployment()
    password, revoked = asyncio.run(_reset(deployment, name, revoke_tokens=revoke_tokens))
    if revoked is not None and not choice.as_json:
        Terminal().say(f"{counted(revoked, 'token')} of {account_name(name)} revoked")
    _tell(choice, account_name(name), password, revoked=revoked)


@users.command()
@click.argument("name", shell_complete=user_names)
@click.argument(
    "wanted", metavar="member|administrator", type=click.Choice([*_ROLES.values(), _ADMIN])
)
@common_options
def role(choice: Choice, name: str, wanted: str) -> None:
    """Make NAME a member or an administrator. The last administrator stays one.

    Example: teamhub users role alice administrator
    """
    deployment = choice.deployment()
    known = account_name(name)
    admin = wanted != _ROLES[False]

    async def run() -> None:
        async with opened_store(deployment) as store:
            await store.accounts.set_admin(known, admin)

    asyncio.run(run())
    if choice.as_json:
        print_json({"name": known, "role": _ROLES[admin]})
        return
    Terminal().say(f"{known} is {'an' if admin else 'a'} {_ROLES[admin]} now")


async def _add(deployment: Deployment, name: str, *, admin: bool) -> str:
    async with opened_store(deployment) as store:
        password = await add_user(store, name, admin=admin)
    await make_known(deployment, [account_name(name)])
    return password


async def _approve(deployment: Deployment, names: Sequence[str]) -> Sequence[str]:
    wanted = list(dict.fromkeys(map(account_name, names)))
    async with opened_store(deployment) as store:
        waiting = {one.name for one in await store.accounts.all() if one.waiting}
        for name in wanted:
            if name not in waiting:
                raise NotFoundError(
                    f"nobody called {name!r} waits for approval; see `teamhub users list --waiting`"
                )
        for name in wanted:
            await store.accounts.approve(name)
    await make_known(deployment, wanted)
    return wanted


async def _reset(
    deployment: Deployment, name: str, *, revoke_tokens: bool
) -> tuple[str, int | None]:
    async with opened_store(deployment) as store:
        if not revoke_tokens:
            return await reset_password(store, name), None
        async with Operator(deployment) as operator:
            known = account_name(name)
            await require_hub(deployment, operator, known, "revoking tokens")
            # First the password: else they could sign in with the old one, and make another token.
            password = await reset_password(store, name)
            return password, len(await revoke_all(store, operator, known))


async def _list(choice: Choice, *, only_waiting: bool) -> None:
    deployment = choice.deployment()
    async with opened_store(deployment) as store:
        accounts = await store.accounts.all()
    if only_waiting:
        accounts = [account for account in accounts if account.waiting]
    known = await _known(deployment) if accounts else {}
    if choice.as_json:
        print_json([_as_json(account, known.get(account.name)) for account in accounts])
        return
    if not accounts:
        Terminal().say("nobody waits for approval" if only_waiting else "there are no users")
        return
    print_table(
        ("NAME", "ROLE", "STATE", "PASSWORD", "ACTIVE", "SINCE", "GROUPS", "NOTE"),
        [_row(account, known.get(account.name)) for account in accounts],
    )


async def _known(deployment: Deployment) -> Mapping[str, KnownUser]:
    """Return what the hub adds, nothing where it does not run: the list is ours without it."""
    if holder(deployment.data_dir) is None:
        return {}
    try:
        async with Operator(deployment, timeout_seconds=5) as operator:
            return {user.name: user for user in await operator.users()}
    except TeamhubError:
        return {}


def _row(account: Account, known: KnownUser | None) -> tuple[str, ...]:
    return (
        account.name,
        _ROLES[account.admin],
        "waiting" if account.waiting else "active",
        "one-time" if account.one_time else "own",
        ago(moment(known.last_activity_at)) if known else "-",
        account.created_at.date().isoformat(),
        ", ".join(known.groups) if known and known.groups else "-",
        account.note,
    )


def _as_json(account: Account, known: KnownUser | None) -> dict[str, object]:
    return {
        "name": account.name,
        "role": _ROLES[account.admin],
        "admin": account.admin,
        "groups": list(known.groups) if known else None,
        "state": "waiting" if account.waiting else "active",
        "one_time_password": account.one_time,
        "last_active_at": moment(known.last_activity_at) if known else None,
        "created_at": account.created_at,
        "note": account.note,
    }


def _tell(
    choice: Choice,
    name: str,
    password: str,
    *,
    admin: bool | None = None,
    revoked: int | None = None,
) -> None:
    if choice.as_json:
        told: dict[str, object] = {"name": name, "one_time_password": password}
        if admin is not None:
            told |= {"admin": admin, "role": _ROLES[admin]}
        if revoked is not None:
            told["tokens_revoked"] = revoked
        print_json(told)
        return
    Terminal().say(f"the one-time password of {name}, to be changed at the first sign-in:")
    click.echo(password)
