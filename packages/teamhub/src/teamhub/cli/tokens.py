"""`tokens`: personal tokens, with which editors and scripts use the gateway."""

from __future__ import annotations

import asyncio
import re
from dataclasses import asdict
from typing import Any

import click

from teamhub.accounts import account_name
from teamhub.cli.answers import print_json
from teamhub.cli.choice import Choice, common_options, opened_store
from teamhub.deployment import Deployment
from teamhub.errors import NotFoundError
from teamhub.operator import Operator, PersonalToken
from teamhub.supervisor.terminal import Terminal

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


class Duration(click.ParamType[int]):
    """A time such as "30d" or "12h", as seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the seconds, or fail with what was expected."""
        match = re.fullmatch(r"([1-9][0-9]{0,8})([smhdw])", str(value).strip().lower())
        if match is None:
            self.fail(
                f'{value!r} should be a number and s, m, h, d or w, such as "30d"', param, ctx
            )
        return int(match[1]) * _UNITS[match[2]]


@click.group()
def tokens() -> None:
    """Make personal tokens for editors and scripts."""


@tokens.command()
@click.option("--user", required=True, metavar="NAME", help="Whose token it is.")
@click.option("--note", default="made by `teamhub tokens create`", help="What it is for.")
@click.option(
    "--expires-in",
    "expires_in_seconds",
    type=Duration(),
    metavar="TIME",
    help="How long it is good, such as 30d or 12h [default: the longest that the hub allows].",
)
@common_options
def create(choice: Choice, user: str, note: str, expires_in_seconds: int | None) -> None:
    """Make a token with which USER's editor or script uses the gateway, and print it once."""
    deployment = choice.deployment()
    token = asyncio.run(_create(deployment, user, note, expires_in_seconds))
    if choice.as_json:
        print_json(asdict(token))
        return
    until = f", good until {token.expires_at}" if token.expires_at else ""
    Terminal().say(
        f"a token of {token.user} for {deployment.public_url()}{until}; shown this once:"
    )
    click.echo(token.token)


async def _create(
    deployment: Deployment, user: str, note: str, expires_in_seconds: int | None
) -> PersonalToken:
    name = account_name(user)
    async with opened_store(deployment) as store:
        if await store.accounts.get(name) is None:
            raise NotFoundError(
                f"there is no user called {name!r}; `teamhub users add {name}` adds one"
            )
    async with Operator(deployment) as operator:
        await operator.ensure_user(name)
        return await operator.create_token(name, note=note, expires_in_seconds=expires_in_seconds)
