"""`users`: the local accounts. They work with the server running or not."""

from __future__ import annotations

import asyncio

import click

from teamhub.accounts import account_name, add_user, reset_password
from teamhub.cli.answers import print_json, print_table
from teamhub.cli.choice import Choice, common_options, opened_store
from teamhub.deployment import Deployment
from teamhub.errors import NotRunningError, TeamhubError
from teamhub.operator import Operator
from teamhub.supervisor.lock import holder
from teamhub.supervisor.terminal import Terminal


@click.group()
def users() -> None:
    """Add, list and help the people who may sign in."""


@users.command()
@click.argument("name")
@click.option("--admin", is_flag=True, help="May administer the hub.")
@common_options
def add(choice: Choice, name: str, admin: bool) -> None:
    """Add NAME and print a one-time password, which the first sign-in changes."""
    deployment = choice.deployment()
    password = asyncio.run(_add(deployment, name, admin=admin))
    _tell(choice, account_name(name), password, admin=admin)


@users.command(name="list")
@common_options
def list_users(choice: Choice) -> None:
    """List all accounts."""
    asyncio.run(_list(choice))


@users.command()
@click.argument("name")
@common_options
def reset(choice: Choice, name: str) -> None:
    """Give NAME a new one-time password, which voids the old password."""
    deployment = choice.deployment()

    async def run() -> str:
        async with opened_store(deployment) as store:
            return await reset_password(store, name)

    _tell(choice, account_name(name), asyncio.run(run()))


async def _add(deployment: Deployment, name: str, *, admin: bool) -> str:
    async with opened_store(deployment) as store:
        password = await add_user(store, name, admin=admin)
    if holder(deployment.data_dir) is not None:
        try:
            async with Operator(deployment) as operator:
                await operator.ensure_user(account_name(name))
        except NotRunningError:
            pass  # still starting; the hub learns of them at sign-in, or when a token is made
        except TeamhubError as error:
            Terminal().say(f"{name} can sign in, but the hub does not know them yet: {error}")
    return password


async def _list(choice: Choice) -> None:
    async with opened_store(choice.deployment()) as store:
        accounts = await store.accounts.all()
    if choice.as_json:
        print_json(
            [
                {
                    "name": account.name,
                    "admin": account.admin,
                    "one_time_password": account.one_time,
                    "created_at": account.created_at,
                }
                for account in accounts
            ]
        )
        return
    print_table(
        ("NAME", "ADMIN", "PASSWORD", "SINCE"),
        [
            (
                account.name,
                "yes" if account.admin else "",
                "one-time, not used yet" if account.one_time else "their own",
                account.created_at.date().isoformat(),
            )
            for account in accounts
        ],
    )


def _tell(choice: Choice, name: str, password: str, *, admin: bool | None = None) -> None:
    if choice.as_json:
        told: dict[str, object] = {"name": name, "one_time_password": password}
        print_json(told if admin is None else told | {"admin": admin})
        return
    Terminal().say(f"the one-time password of {name}, to be changed at the first sign-in:")
    click.echo(password)
