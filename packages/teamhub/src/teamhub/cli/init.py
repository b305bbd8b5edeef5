"""`init`: a data directory with a file of settings in it, from a few answers or from flags."""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from teamhub.accounts import account_name
from teamhub.cli.answers import print_json
from teamhub.cli.choice import PortNumber
from teamhub.config import CONFIG_NAME, Config
from teamhub.config.documentation import did_you_mean, setting, settings_toml
from teamhub.config.load import load_text
from teamhub.deployment import unusable, write_private
from teamhub.doctor.settings import remarks
from teamhub.engines.border import is_loopback
from teamhub.errors import AccountError, ConfigError, RefusedError
from teamhub.supervisor.lock import holder
from teamhub.supervisor.surroundings import adopt, dev_of
from teamhub.supervisor.terminal import Terminal

_THIS_MACHINE, _NETWORK = "127.0.0.1", "0.0.0.0"  # noqa: S104


@dataclass(frozen=True)
class _Question:
    """One question: which setting, what is asked, what an answer means and what it should be.

    `meant` returns the setting's value, or raises ValueError with what was expected.
    """

    path: str
    text: str
    default: str
    meant: Callable[[str], Any]


@click.command()
@click.argument(
    "directory", metavar="[DIR]", required=False, type=click.Path(path_type=Path, file_okay=False)
)
@click.option("--port", type=PortNumber(), metavar="N", help="The port that people open.")
@click.option("--host", metavar="ADDRESS", help="127.0.0.1: this machine; 0.0.0.0: the network.")
@click.option("--admin", metavar="NAME", help="The first administrator.")
@click.option(
    "--sign-up",
    type=click.Choice(["approval", "closed"]),
    help="Whether people may ask for an account.",
)
@click.option(
    "--uid-per-member",
    type=click.Choice(["auto", "yes", "no"]),
    help="Whether members' processes are kept apart; takes root.",
)
@click.option("--minimum-password-length", type=int, metavar="N", help="From 8 to 128.")
@click.option("--kernels-per-user", type=int, metavar="N", help="How many one may have at once.")
@click.option("--memory", metavar="SIZE", help='What a kernel may use, such as "4 GiB".')
@click.option("--cpus", type=float, metavar="N", help="How many CPUs a kernel may use.")
@click.option(
    "--set", "others", multiple=True, metavar="PATH=VALUE", help="Any other setting; repeatable."
)
@click.option("-y", "--yes", is_flag=True, help="Ask nothing; take the defaults.")
@click.option("--force", is_flag=True, help=f"Replace a {CONFIG_NAME}; the old one is kept.")
@click.option("--json", "as_json", is_flag=True, help="Answer with JSON on stdout.")
def init(
    directory: Path | None,
    others: tuple[str, ...],
    yes: bool,
    force: bool,
    as_json: bool,
    **flags: Any,
) -> None:
    """Write DIR/teamhub.toml: every setting explained, the chosen ones set.

    Asks a few questions on a terminal; what a flag says is not asked, and in a pipe nothing is.
    Nothing is started. DIR is the data directory [default: ~/.local/share/teamhub].

    \b
    Exit status: 0 written, 1 there is a file already, 2 an answer is wrong (nothing was written).
    Example: teamhub init /srv/teamhub --port 8080 --admin alice --yes
    """
    terminal = Terminal()
    chosen = _given(flags, others)
    asking = not yes and not as_json and sys.stdin.isatty() and sys.stderr.isatty()
    if directory is None:
        default: Path = Config.model_fields["data_dir"].default
        directory = _ask_directory(default) if asking else default
    data_dir = directory.expanduser().absolute()
    adopt(data_dir)
    path = data_dir / CONFIG_NAME
    _refuse_existing(path, force=force)
    if asking:
        for question in _questions():
            if question.path not in chosen:
                chosen[question.path] = _ask(question, chosen, path)
    text = settings_toml(
        {key: value for key, value in chosen.items() if not _is_default(key, value)}
    )
    config = _checked(text, path)
    noted = remarks(config)
    for one in noted:
        if one.fatal:
            raise ConfigError(f"{one}; nothing was written")
    kept = _write(path, text)
    if as_json:
        print_json(
            {
                "file": path,
                "data_dir": data_dir,
                "kept": kept,
                "warnings": [str(one) for one in noted],
            }
        )
        return
    if kept is not None:
        terminal.say(f"the old file is kept as {kept}")
    for one in noted:
        terminal.say(f"warning: {one}")
    click.echo(f"written: {path}")
    where = "" if data_dir == Config.model_fields["data_dir"].default else f" --data-dir {data_dir}"
    dev = dev_of(Path(sys.prefix))
    command = "teamhub up" if dev is None else f"{dev} up"
    if holder(data_dir) is not None:
        command = "teamhub config apply"
    click.echo(f"next:    {command}{where}")


def _given(flags: Mapping[str, Any], others: tuple[str, ...]) -> dict[str, Any]:
    """Return what the flags say, by the path of the setting."""
    paths = {
        "port": "proxy.port",
        "host": "proxy.host",
        "admin": "hub.admin",
        "sign_up": "accounts.sign_up",
        "uid_per_member": "engine.process.uid_per_member",
        "minimum_password_length": "accounts.minimum_password_length",
        "kernels_per_user": "kernels.per_user",
        "memory": "sizes.standard.memory",
        "cpus": "sizes.standard.cpus",
    }
    chosen = {paths[name]: value for name, value in flags.items() if value is not None}
    for other in others:
        path, equals, text = other.partition("=")
        path = path.strip()
        if not equals:
            raise click.BadParameter(
                f"should be the path of a setting, = and its value, is {other!r}; "
                "`teamhub config docs` lists the settings",
                param_hint="'--set'",
            )
        if setting(path) is None:
            raise click.BadParameter(
                f"{path!r}: there is no such setting{did_you_mean(path)}", param_hint="'--set'"
            )
        chosen[path] = _value(text.strip())
    return chosen


def _checked(text: str, path: Path) -> Config:
    """Return the settings that a file would have, or say what is wrong without naming it."""
    try:
        return load_text(text, path)
    except ConfigError as error:
        faults = [line.removeprefix(f"{path}: ") for line in str(error).splitlines()]
        raise ConfigError("\n".join(faults) + "; nothing was written") from None


def _value(text: str) -> Any:
    """Return what a value means as TOML does; what is none is a text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, KeyError):
        return text


def _is_default(path: str, value: Any) -> bool:
    known = setting(path)
    return known is not None and known.default is not None and known.default == value


def _refuse_existing(path: Path, *, force: bool) -> None:
    if os.path.lexists(path) and not force:
        raise RefusedError(
            f"{path} is there already; nothing was changed; edit it and `teamhub config check`, "
            "or write a new one with --force, which keeps the old one"
        )


def _questions() -> tuple[_Question, ...]:
    return (
        _Question("proxy.port", "The port that people open", "8000", _port),
        _Question(
            "proxy.host", 'Who reaches it: "this machine" or "network"', "this machine", _host
        ),
        _Question("hub.admin", "The administrator's name", "admin", _name),
        _Question(
            "accounts.sign_up",
            'May people ask for an account, for an administrator to approve: "yes" or "no"',
            "yes",
            _sign_up,
        ),
    )


def _ask(question: _Question, chosen: Mapping[str, Any], path: Path) -> Any:
    """Ask until the answer can be understood, and followed on this machine."""
    while True:
        text = click.prompt(question.text, default=question.default, err=True)
        try:
            value = question.meant(str(text).strip())
        except ValueError as error:
            click.echo(f"  {error}", err=True)
            continue
        trial = _checked(settings_toml({**chosen, question.path: value}), path)
        faults = [one for one in remarks(trial) if one.fatal and one.path == question.path]
        if not faults:
            return value
        click.echo(f"  that {faults[0].text}", err=True)


def _ask_directory(default: Path) -> Path:
    while True:
        text = click.prompt("The data directory", default=str(default), err=True).strip()
        path = Path(text).expanduser().absolute()
        obstacle = _obstacle(path)
        if obstacle is None:
            return path
        click.echo(f"  {obstacle}", err=True)


def _obstacle(path: Path) -> str | None:
    """Say why nothing can be written there, without making anything."""
    there = next(part for part in (path, *path.parents) if os.path.lexists(part))
    if not there.is_dir():
        return f"{there} is not a directory"
    if not os.access(there, os.W_OK | os.X_OK):
        return f"{there} cannot be written to by this account"
    return None


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= 65535):
        raise ValueError("that should be a port from 1 to 65535")
    return int(text)


def _host(text: str) -> str:
    words = {"this machine": _THIS_MACHINE, "this": _THIS_MACHINE, "network": _NETWORK}
    host = words.get(text.lower(), text)
    if host != _NETWORK and not is_loopback(host) and not set(host) <= set("0123456789abcdef.:"):
        raise ValueError('that should be "this machine", "network", or an address of this machine')
    return host


def _name(text: str) -> str:
    try:
        return account_name(text)
    except AccountError as error:
        raise ValueError(str(error)) from None


def _sign_up(text: str) -> str:
    words = {"yes": "approval", "y": "approval", "no": "closed", "n": "closed"}
    value = words.get(text.lower(), text.lower())
    if value not in {"approval", "closed"}:
        raise ValueError('that should be "yes" or "no"')
    return value


def _write(path: Path, text: str) -> Path | None:
    """Write the file whole or not at all; return where an old one is kept."""
    backup = path.with_name(f"{path.name}.bak")
    try:
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True)
            # As `teamhub up` would: members' own processes pass through it.
            path.parent.chmod(0o711 if os.geteuid() == 0 else 0o700)
        kept = os.path.lexists(path)
        if kept:
            # A second name first, so that at no moment there is no file.
            backup.unlink(missing_ok=True)
            backup.hardlink_to(path)
        write_private(path, text)
    except OSError as error:
        raise unusable(error, path.parent) from None
    return backup if kept else None
