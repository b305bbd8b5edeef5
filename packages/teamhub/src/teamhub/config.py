"""Every setting, and how a file of them is read.

One `teamhub.toml`, validated whole before anything starts. An error names the file, the path of
the setting, its value and what was expected. `teamhub.example.toml` documents every setting and
is loaded in a test. Secrets are not settings: they live in files under `data_dir/secrets`.
"""

from __future__ import annotations

import difflib
import os
import re
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from teamhub.errors import ConfigError
from teamhub.model import Environment, Size

CONFIG_NAME = "teamhub.toml"
NAME_PATTERN = r"^[a-z0-9][a-z0-9_.-]{0,62}$"

Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0)]

_BYTES = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([KMGT]i?B?|B)?\s*$", re.IGNORECASE)
_FACTORS = {"": 1, "b": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}


class Section(BaseModel):
    """A table of the file: unknown keys are errors, values cannot be changed after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ProxySettings(Section):
    """The one address that people open."""

    host: str = "127.0.0.1"
    port: Port = 8000
    command: tuple[str, ...] = ("configurable-http-proxy",)


class HubSettings(Section):
    """JupyterHub."""

    database_url: str | None = None
    """SQLAlchemy URL; None: `hub.sqlite` in the data directory."""
    admin: str = "admin"
    """The administrator that the first start creates."""
    extra: Mapping[str, Mapping[str, Any]] = Field(default_factory=dict)
    """Raw traitlets by class, handed to JupyterHub after our own: the last word."""


class AccountSettings(Section):
    """Sign-in with a name and a password."""

    minimum_password_length: Annotated[int, Field(ge=8, le=128)] = 10


class GatewaySettings(Section):
    """The Jupyter kernel API."""

    ping_seconds: Seconds = 30
    token_cache_seconds: Seconds = 60
    """How long an answer of the hub about a token is believed."""
    token_grace_seconds: Seconds = 300
    """How long it is still believed while the hub cannot be asked."""
    waiting_messages_per_kernel: Annotated[int, Field(ge=1)] = 1000
    """How many messages may wait for a kernel that is not there yet."""
    waiting_bytes_per_kernel: Annotated[int, Field(ge=1024)] = 64 * 1024**2
    maximum_message_bytes: Annotated[int, Field(ge=1024**2)] = 1024**3
    """The largest single message a client may send."""


class DispatcherSettings(Section):
    """Queue, placement and reconciliation."""

    concurrent_starts: Annotated[int, Field(ge=1)] = 8
    start_timeout_seconds: Seconds = 120
    stop_timeout_seconds: Seconds = 10
    """How long a workload may take to end by itself before it is killed."""
    sweep_seconds: Seconds = 10
    """How often everything is compared anew, behind the events."""
    lease_seconds: Seconds = 15
    """A dispatcher whose heartbeat is older may be deposed."""
    keep_ended_days: Annotated[int, Field(ge=1)] = 14
    """How long the record of an ended workload is kept."""


class ProcessEngineSettings(Section):
    """Engine `process`: everything runs as processes of this machine."""

    uid_per_member: Literal["auto", "yes", "no"] = "auto"
    """Run each member's processes under a uid of their own; needs root. `auto`: if possible."""
    first_uid: Annotated[int, Field(ge=1000)] = 60000


class EngineSettings(Section):
    """Where workloads run."""

    name: Literal["process", "fake"] = "process"
    process: ProcessEngineSettings = ProcessEngineSettings()


class StoreSettings(Section):
    """The database of what should run."""

    url: str | None = None
    """SQLAlchemy URL; None: `teamhub.sqlite` in the data directory."""


class ServerSettings(Section):
    """Notebook servers."""

    size: str | None = None
    """The size every notebook server gets; None: not limited."""
    start_timeout_seconds: Seconds = 60
    argv: tuple[str, ...] | None = None
    """The command; None: `teamhub-notebook` of this installation."""


class KernelSettings(Section):
    """What holds for all kernels."""

    per_user: Annotated[int, Field(ge=1)] = 100
    """How many kernels one user may have at once."""
    default: str = "python3"
    """The kernelspec that a client gets which names none."""
    start_timeout_seconds: Seconds = 60
    """How long a kernel may take to answer for the first time."""
    environment_bytes: Annotated[int, Field(ge=0)] = 64 * 1024
    """The most that a client's own environment variables may amount to."""


class EnvironmentSettings(Section):
    """What code runs in: one entry of `[environments.NAME]`."""

    display_name: str
    argv: tuple[str, ...] | None = None
    """The kernelspec's command; None: ipykernel of the interpreter in `prefix`."""
    prefix: str | None = None
    """Where the interpreter lives; `{prefix}` in `argv`. None: this installation's own."""
    language: str = "python"
    interrupt_mode: Literal["signal", "message"] = "signal"
    env: Mapping[str, str] = Field(default_factory=dict)
    metadata: Mapping[str, Any] = Field(default_factory=dict)
    resource_dir: str | None = None
    """A folder with logos (`logo-64x64.png`, `logo-svg.svg`, `kernel.js`)."""
    sizes: tuple[str, ...] | None = None
    """Which sizes it is offered in, the first being its default; None: all."""


class SizeSettings(Section):
    """How much a workload gets: one entry of `[sizes.NAME]`."""

    display_name: str = ""
    cpus: Annotated[float, Field(gt=0)] | None = None
    memory: int | None = None
    """As bytes, or as text such as "4 GiB"."""

    @field_validator("memory", mode="before")
    @classmethod
    def _bytes(cls, value: object) -> object:
        return parse_bytes(value) if isinstance(value, str) else value


class Config(Section):
    """All settings of one deployment."""

    data_dir: Path = Path("~/.local/share/teamhub").expanduser()
    proxy: ProxySettings = ProxySettings()
    hub: HubSettings = HubSettings()
    accounts: AccountSettings = AccountSettings()
    gateway: GatewaySettings = GatewaySettings()
    dispatcher: DispatcherSettings = DispatcherSettings()
    engine: EngineSettings = EngineSettings()
    store: StoreSettings = StoreSettings()
    servers: ServerSettings = ServerSettings()
    kernels: KernelSettings = KernelSettings()
    sizes: Mapping[str, SizeSettings] = Field(default_factory=lambda: {"standard": SizeSettings()})
    environments: Mapping[str, EnvironmentSettings] = Field(
        default_factory=lambda: {"python3": EnvironmentSettings(display_name="Python 3")}
    )

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @field_validator("sizes", "environments")
    @classmethod
    def _names(cls, value: Mapping[str, Any]) -> Mapping[str, Any]:
        for name in value:
            if not re.match(NAME_PATTERN, name):
                raise ValueError(f"the name {name!r} should be of a-z, 0-9, '.', '_' and '-'")
        if not value:
            raise ValueError("at least one entry is needed")
        return value

    @model_validator(mode="after")
    def _references(self) -> Config:
        for name, environment in self.environments.items():
            for size in environment.sizes or ():
                if size not in self.sizes:
                    raise ValueError(f"environments.{name}.sizes: no size is called {size!r}")
        names: dict[str, str] = {}
        for name, environment in self.environments.items():
            for spec, size in kernelspec_names(name, environment.sizes or tuple(self.sizes)):
                if spec in names:
                    raise ValueError(
                        f"environments.{name}: with size {size!r} it makes the kernelspec "
                        f"{spec!r}, as {names[spec]} does; rename one"
                    )
                names[spec] = f"environments.{name}"
        if self.servers.size is not None and self.servers.size not in self.sizes:
            raise ValueError(f"servers.size: no size is called {self.servers.size!r}")
        return self

    def store_url(self) -> str:
        """Return the SQLAlchemy URL of the store, with an asynchronous driver."""
        url = self.store.url or f"sqlite:///{self.data_dir / 'teamhub.sqlite'}"
        for plain, driven in (
            ("sqlite:", "sqlite+aiosqlite:"),
            ("postgresql:", "postgresql+asyncpg:"),
        ):
            if url.startswith(plain):
                return driven + url.removeprefix(plain)
        return url

    def hub_database_url(self) -> str:
        """Return the SQLAlchemy URL of the hub's own database."""
        return self.hub.database_url or f"sqlite:///{self.data_dir / 'hub.sqlite'}"

    def home_of(self, user: str) -> Path:
        """Return the home directory of a user (a valid account name)."""
        return self.data_dir / "homes" / user

    def size(self, name: str) -> Size:
        """Return a size by name. Raises KeyError where there is none."""
        settings = self.sizes[name]
        return Size(name, settings.display_name, settings.cpus, settings.memory)

    def environment(self, name: str) -> Environment:
        """Return a team environment by name, `{prefix}` filled in. Raises KeyError."""
        settings = self.environments[name]
        prefix = str(Path(settings.prefix or default_kernel_prefix()).expanduser())
        argv = settings.argv or (
            "{prefix}/bin/python",
            "-Xfrozen_modules=off",
            "-m",
            "ipykernel_launcher",
            "-f",
            "{connection_file}",
        )
        metadata = dict(settings.metadata)
        resource_dir = settings.resource_dir
        if settings.argv is None:
            metadata.setdefault("debugger", True)
            resource_dir = resource_dir or f"{prefix}/share/jupyter/kernels/python3"
        return Environment(
            name=name,
            display_name=settings.display_name,
            argv=tuple(part.replace("{prefix}", prefix) for part in argv),
            language=settings.language,
            interrupt_mode=settings.interrupt_mode,
            env=settings.env,
            metadata=metadata,
            resource_dir=resource_dir,
        )


def kernelspec_names(environment: str, sizes: Sequence[str]) -> Sequence[tuple[str, str]]:
    """Return the kernelspecs that an environment makes: name and size of each.

    The first has the environment's own name, so that notebooks which say "python3" find it;
    others are called `<environment>-<size>`.
    """
    return [
        (environment if position == 0 else f"{environment}-{size}", size)
        for position, size in enumerate(sizes)
    ]


def default_kernel_prefix() -> str:
    """Return where the default environment's interpreter lives.

    `TEAMHUB_KERNEL_PREFIX` where it is set (as `./dev` does), else this interpreter's own prefix.
    """
    return os.environ.get("TEAMHUB_KERNEL_PREFIX") or sys.prefix


def parse_bytes(text: str) -> int:
    """Return a number of bytes from "512 MiB", "4G" or "1024". Raises ValueError."""
    match = _BYTES.match(text)
    if match is None:
        raise ValueError('should be a number of bytes such as "512 MiB" or "4 GiB"')
    unit = (match[2] or "").lower()[:1]
    return int(float(match[1]) * _FACTORS[unit])


def load(path: Path | None = None, overrides: Mapping[str, Any] | None = None) -> Config:
    """Read, check and return the settings.

    Args:
        path: the file. None: `teamhub.toml` in the data directory, or the defaults where there
            is no such file.
        overrides: dotted paths to values that win over the file (command line options); None
            values are left out. `data_dir` decides where `path=None` looks.

    Raises:
        ConfigError: the file cannot be read, is not TOML, or a setting is wrong. One line for
            each fault: file, path, value, expected.
    """
    chosen = {key: value for key, value in (overrides or {}).items() if value is not None}
    if path is None:
        default = Config.model_fields["data_dir"].default
        candidate = Path(chosen.get("data_dir", default)).expanduser() / CONFIG_NAME
        path = candidate if candidate.exists() else None
    values: dict[str, Any] = {}
    if path is not None:
        values = _read(path)
        _anchor(values, path)
    for dotted, value in chosen.items():
        *parents, last = dotted.split(".")
        table = values
        for parent in parents:
            table = table.setdefault(parent, {})
        table[last] = value
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        source = str(path) if path is not None else "options"
        raise ConfigError("\n".join(_explain(error, source))) from None


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not valid TOML: {error}") from None


def _anchor(values: dict[str, Any], path: Path) -> None:
    """A relative data_dir in a file is meant from that file, not from where one happens to be."""
    data_dir = values.get("data_dir")
    if isinstance(data_dir, str):
        expanded = Path(data_dir).expanduser()
        values["data_dir"] = str(path.absolute().parent / expanded)
    else:
        values.setdefault("data_dir", str(path.absolute().parent))


def _explain(error: ValidationError, source: str) -> Sequence[str]:
    lines = []
    for fault in error.errors():
        where = ".".join(str(part) for part in fault["loc"])
        message = fault["msg"].removeprefix("Value error, ")
        if fault["type"] == "extra_forbidden":
            message = "there is no such setting" + _did_you_mean(fault["loc"])
            lines.append(f"{source}: {where}: {message}")
        elif not where:
            lines.append(f"{source}: {message}")
        else:
            message = message[:1].lower() + message[1:]
            lines.append(f"{source}: {where}: {message}, is {_short(fault['input'])}")
    return lines


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _did_you_mean(loc: tuple[int | str, ...]) -> str:
    model: type[BaseModel] = Config
    for part in loc[:-1]:
        if part in _TABLES:
            model = _TABLES[str(part)]
            continue
        field = model.model_fields.get(str(part))
        if field and isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            model = field.annotation
    known = list(model.model_fields)
    close = difflib.get_close_matches(str(loc[-1]), known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known here: {', '.join(known)}"


_TABLES: dict[str, type[BaseModel]] = {"sizes": SizeSettings, "environments": EnvironmentSettings}
