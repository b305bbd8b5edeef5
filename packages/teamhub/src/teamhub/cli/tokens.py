"""`tokens`: personal tokens, with which editors and scripts use the gateway."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import click

from teamhub.accounts import account_name
from teamhub.cli.answers import ago, counted, moment, print_json, print_table
from teamhub.cli.choice import Choice, common_options, opened_store
from teamhub.cli.hub import revoke_all
from teamhub.cli.offers import token_ids, user_names
from teamhub.deployment import Deployment
from teamhub.errors import NotFoundError
from teamhub.operator import Operator, PersonalToken, Token
from teamhub.supervisor.terminal import Terminal

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_AT_ONCE = 8


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
    """Make, list and revoke the tokens of editors and scripts."""


@tokens.command()
@click.option(
    "--user", required=True, metavar="NAME", shell_complete=user_names, help="Whose token it is."
)
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
    """Make a token with which USER's editor or script uses the gateway, and print it once.

    Example: teamhub tokens create --user alice --note "VS Code" --expires-in 30d
    """
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


@tokens.command(name="list")
@click.option("--user", metavar="NAME", shell_complete=user_names, help="Only those of this user.")
@common_options
def list_tokens(choice: Choice, user: str | None) -> None:
    """List tokens: personal ones, and those of notebook servers and of browsers in them.

    The tokens themselves cannot be seen any more. Example: teamhub tokens list --user alice
    """
    deployment = choice.deployment()

    async def run() -> Sequence[Token]:
        async with Operator(deployment) as operator:
            return await _tokens(deployment, operator, user)

    found = asyncio.run(run())
    if choice.as_json:
        print_json([_as_json(token) for token in found])
        return
    if not found:
        Terminal().say(f"{user} has no tokens" if user else "there are no tokens")
        return
    print_table(
        ("ID", "USER", "KIND", "MADE", "LAST USED", "EXPIRES", "NOTE"),
        [
            (
                token.id,
                token.user,
                _kind(token),
                ago(moment(token.created_at)),
                ago(moment(token.last_activity_at)),
                token.expires_at[:10] if token.expires_at else "never",
                token.note,
            )
            for token in found
        ],
    )


@tokens.command()
@click.argument("ids", metavar="ID...", nargs=-1, shell_complete=token_ids)
@click.option("--user", metavar="NAME", shell_complete=user_names, help="Whose.")
@click.option("--all", "every", is_flag=True, help="With --user: all of theirs, of any kind.")
@common_options
def revoke(choice: Choice, ids: tuple[str, ...], user: str | None, every: bool) -> None:
    """Revoke tokens. The gateway refuses them at once, and ends their connections.

    Examples: teamhub tokens revoke a12; teamhub tokens revoke --user alice --all
    """
    if bool(ids) == every or (every and user is None):
        raise click.UsageError("missing argument 'ID', or both --user NAME and --all")
    deployment = choice.deployment()
    revoked = asyncio.run(_revoke(deployment, ids, user))
    if choice.as_json:
        print_json([_as_json(token) for token in revoked])
        return
    terminal = Terminal()
    if every:
        terminal.say(f"{counted(len(revoked), 'token')} of {account_name(user or '')} revoked")
    else:
        for token in revoked:
            terminal.say(f"token {token.id} of {token.user} ({token.note}) is revoked")
    if any(token.server for token in revoked):
        terminal.say(
            "browsers have to sign in again, and a notebook server whose token it was has to be "
            "started again (`teamhub servers stop`)"
        )


async def _create(
    deployment: Deployment, user: str, note: str, expires_in_seconds: int | None
) -> PersonalToken:
    name = account_name(user)
    await _require_account(deployment, name)
    async with Operator(deployment) as operator:
        await operator.ensure_user(name)
        return await operator.create_token(name, note=note, expires_in_seconds=expires_in_seconds)


async def _revoke(deployment: Deployment, ids: Sequence[str], user: str | None) -> Sequence[Token]:
    async with opened_store(deployment) as store, Operator(deployment) as operator:
        there = await _tokens(deployment, operator, user)
        if not ids:
            assert user is not None
            return await revoke_all(store, operator, account_name(user))
        known = {token.id: token for token in there}
        wanted = list(dict.fromkeys(one.strip().lower() for one in ids))
        for one in wanted:
            if one not in known:
                shown = one if len(one) <= 40 else one[:40] + "..."
                raise NotFoundError(f"no token has the id {shown!r}; see `teamhub tokens list`")
        try:
            for one in wanted:
                await operator.revoke_token(known[one].user, one)
        finally:
            await store.revocations.add()
        return [known[one] for one in wanted]


async def _tokens(deployment: Deployment, operator: Operator, user: str | None) -> Sequence[Token]:
    """Return the tokens of a user, or of all, by user."""
    if user is not None:
        name = account_name(user)
        try:
            return await operator.tokens(name)
        except NotFoundError:
            # The hub does not know them yet, so that they have none; or nobody does.
            await _require_account(deployment, name)
            return []
    at_once = asyncio.Semaphore(_AT_ONCE)

    async def of(name: str) -> Sequence[Token]:
        async with at_once:
            try:
                return await operator.tokens(name)
            except NotFoundError:
                return []  # removed just now

    names = [one.name for one in await operator.users()]
    return [token for some in await asyncio.gather(*map(of, names)) for token in some]


async def _require_account(deployment: Deployment, name: str) -> None:
    async with opened_store(deployment) as store:
        if await store.accounts.get(name) is None:
            raise NotFoundError(
                f"there is no user called {name!r}; `teamhub users add {name}` adds one"
            )


def _kind(token: Token) -> str:
    return "server" if token.server else "personal"


def _as_json(token: Token) -> dict[str, Any]:
    return {
        "id": token.id,
        "user": token.user,
        "kind": "server" if token.server else "personal",
        "note": token.note,
        "scopes": list(token.scopes),
        "created_at": moment(token.created_at),
        "last_used_at": moment(token.last_activity_at),
        "expires_at": moment(token.expires_at),
    }
