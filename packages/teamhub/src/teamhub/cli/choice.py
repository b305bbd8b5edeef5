"""The options that every command has: which deployment, and how to answer."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import click

from teamhub.config import Config, load
from teamhub.deployment import Deployment
from teamhub.errors import NotRunningError
from teamhub.store import Store
from teamhub.supervisor.down import store_exists
from teamhub.supervisor.origin import Origin

_Command = TypeVar("_Command", bound=Callable[..., Any])


class PortNumber(click.ParamType[int]):
    """A TCP port that can be listened on."""

    name = "port"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number, or fail with what was expected."""
        text = str(value).strip()
        if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= 65535):
            self.fail(f"should be a port from 1 to 65535, is {text!r}", param, ctx)
        return int(text)


@dataclass(frozen=True)
class Choice:
    """What `--data-dir`, `--config` and `--json` said."""

    last: ClassVar[Choice | None] = None
    """That of the command that runs, so that a fault is logged beside its deployment's logs."""

    given_data_dir: Path | None
    config_file: Path | None
    as_json: bool

    @property
    def data_dir(self) -> Path:
        """The data directory that the options name, without reading more than is needed."""
        if self.config_file is None:
            default: Path = Config.model_fields["data_dir"].default
            return (self.given_data_dir or default).expanduser().absolute()
        return self.settings().data_dir

    def settings(self, **overrides: Any) -> Config:
        """Return the settings that a start would use.

        Args:
            overrides: by dotted path, with two underscores for a dot.

        Raises:
            ConfigError: they are wrong.
        """
        dotted = {name.replace("__", "."): value for name, value in overrides.items()}
        chosen = str(self.given_data_dir) if self.given_data_dir is not None else None
        return load(self.config_file, {"data_dir": chosen, **dotted})

    def origin(self, **overrides: Any) -> Origin:
        """Return where the settings that `settings` returns come from, with absolute paths."""
        dotted = {name.replace("__", "."): value for name, value in overrides.items()}
        given = {key: value for key, value in dotted.items() if value is not None}
        if self.given_data_dir is not None:
            given["data_dir"] = str(self.given_data_dir.expanduser().absolute())
        file = self.config_file.expanduser().absolute() if self.config_file else None
        return Origin(config_file=file, overrides=given)

    def deployment(self) -> Deployment:
        """Return the deployment with the settings in force there.

        Raises:
            NotRunningError: none was ever started there.
        """
        return Deployment.running(self.data_dir)


@asynccontextmanager
async def opened_store(deployment: Deployment, *, listen: bool = False) -> AsyncIterator[Store]:
    """Give the store of a deployment, open.

    Raises:
        NotRunningError: there is none yet.
    """
    if not store_exists(deployment.config):
        raise NotRunningError(
            f"the team server in {deployment.data_dir} has never come up; start it with "
            f"`teamhub up --data-dir {deployment.data_dir}`"
        )
    store = Store.of(deployment)
    try:
        await store.open(listen=listen)
        yield store
    finally:
        await store.close()


class _Place(click.Path):
    """A path that is one: an empty text (an unset variable) is not the present directory."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("it is empty; give a path", param, ctx)
        if not str(value).isprintable():
            self.fail(f"{str(value)!r} should be a path without control characters", param, ctx)
        return super().convert(value, param, ctx)


def common_options(command: _Command) -> _Command:
    """Give a command the options that all have; it gets a `choice` for them."""

    @click.option(
        "--data-dir",
        type=_Place(path_type=Path, file_okay=False),
        metavar="DIR",
        help="The deployment's data directory [default: ~/.local/share/teamhub].",
    )
    @click.option(
        "--config",
        "config_file",
        type=_Place(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="The deployment's settings [default: teamhub.toml in the data directory].",
    )
    @click.option("--json", "as_json", is_flag=True, help="Answer with JSON on stdout.")
    @functools.wraps(command)
    def with_choice(
        data_dir: Path | None, config_file: Path | None, as_json: bool, **others: Any
    ) -> Any:
        choice = Choice(data_dir, config_file, as_json)
        Choice.last = choice
        return command(choice, **others)

    return with_choice  # type: ignore[return-value]
