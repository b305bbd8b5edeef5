"""Every setting of a deployment, with its documentation and what a change of it takes.

`teamhub.example.toml` and the reference in docs/ are generated from here. Secrets are not
settings: they live in files under `data_dir/secrets`.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    IPvAnyAddress,
    field_validator,
    model_validator,
)

from teamhub.model import Environment, Size

DEFAULT_DATA_DIR = "~/.local/share/teamhub"
NAME_PATTERN = r"^[a-z0-9][a-z0-9_.-]{0,62}$"

_BYTES = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([KMGT]i?B?|B)?\s*$", re.IGNORECASE)
_FACTORS = {"": 1, "b": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}


def parse_bytes(text: str) -> int:
    """Return a number of bytes from "512 MiB", "4G" or "1024". Raises ValueError."""
    match = _BYTES.match(text)
    if match is None:
        raise ValueError('should be a number of bytes such as "512 MiB" or "4 GiB"')
    unit = (match[2] or "").lower()[:1]
    return int(float(match[1]) * _FACTORS[unit])


def _bytes(value: object) -> object:
    return parse_bytes(value) if isinstance(value, str) else value


Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0)]
Bytes = Annotated[int, Field(ge=1024), BeforeValidator(_bytes)]
"""As a number of bytes, or as text such as "512 MiB"."""


class Part(StrEnum):
    """What has to be started again for a changed setting to hold."""

    HUB = "hub"
    GATEWAY = "gateway"
    SERVER = "server"
    """All of it: `teamhub down --keep-kernels`, then `teamhub up`."""


@dataclass(frozen=True)
class Restarts:
    """Metadata of a setting: the parts that read it once, when they start. None: read live."""

    parts: tuple[Part, ...]


class Section(BaseModel):
    """A table of the file: unknown keys are errors, values cannot be changed after loading.

    The docstring of each table and setting is its documentation: the example file, the reference
    and `teamhub config docs` are made from it. An unset setting shows the first of its `examples`.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )

    restarts: ClassVar[Restarts] = Restarts((Part.SERVER,))
    """For those of its settings that say nothing else."""


class ProxySettings(Section):
    """The one address that people open."""

    host: str = "127.0.0.1"
    """127.0.0.1: this machine alone. 0.0.0.0: all that can reach it; put TLS before it."""
    port: Port = 8000
    """From 1 to 65535; those below 1024 need root."""
    trusted_addresses: Annotated[tuple[IPvAnyAddress, ...], Restarts((Part.HUB,))] = ()
    """The addresses of web servers before this one, such as one that adds TLS: what they say of
    who is asking is believed. Failed sign-ins are limited by who is asking."""
    command: tuple[str, ...] = ("configurable-http-proxy",)
    """The configurable-http-proxy, and options for it."""


class HubSettings(Section):
    """JupyterHub."""

    restarts = Restarts((Part.HUB,))

    database_url: str | None = Field(default=None, examples=["sqlite:////srv/teamhub/hub.sqlite"])
    """The hub's own database, as a SQLAlchemy URL. Unset: hub.sqlite in the data directory."""
    admin: Annotated[str, Restarts((Part.SERVER,))] = "admin"
    """The administrator that the first start creates, with a one-time password."""
    administrators_access_servers: bool = False
    """Whether administrators may enter members' notebook servers, and so read their files."""
    extra: Mapping[str, Mapping[str, Any]] = Field(
        default_factory=dict, examples=[{"Spawner": {"default_url": "/lab/tree/welcome.ipynb"}}]
    )
    """Any setting of JupyterHub, by class; it has the last word over ours."""


class AccountSettings(Section):
    """Sign-in with a name and a password."""

    restarts = Restarts((Part.HUB,))

    sign_up: Literal["approval", "closed"] = "approval"
    """"approval": whoever reaches the sign-in page may ask for an account, which an administrator
    approves. "closed": only administrators add members."""
    waiting_sign_ups: Annotated[int, Field(ge=1)] = 100
    """How many may wait for approval at once; nobody can sign up beyond that."""
    minimum_password_length: Annotated[int, Field(ge=8, le=128)] = 10
    """From 8 to 128 characters."""


class GatewaySettings(Section):
    """The Jupyter kernel API."""

    restarts = Restarts((Part.GATEWAY,))

    ping_seconds: Seconds = 30
    """How often an open websocket is probed, so that a connection that died is noticed."""
    token_cache_seconds: Seconds = 60
    """How long an answer of the hub about a token is believed."""
    token_grace_seconds: Seconds = 300
    """How long it still is while the hub cannot be asked."""
    waiting_messages_per_kernel: Annotated[int, Field(ge=1)] = 1000
    """How many messages may wait for a kernel that is not there yet."""
    waiting_bytes_per_kernel: Bytes = 64 * 1024**2
    """How much those may amount to."""
    maximum_message_bytes: Bytes = 1024**3
    """The largest single message that a client may send; 1 MiB at least."""

    @field_validator("maximum_message_bytes")
    @classmethod
    def _usable(cls, value: int) -> int:
        if value < 1024**2:
            raise ValueError("should be at least 1 MiB")
        return value


class DispatcherSettings(Section):
    """Queue, placement, and making what runs equal to what should run."""

    restarts = Restarts((Part.GATEWAY, Part.HUB))

    concurrent_starts: Annotated[int, Field(ge=1)] = 8
    """How many kernels and notebook servers are started at once; the others wait their turn. One
    member's take at most half of these places."""
    start_timeout_seconds: Seconds = 120
    """How long the engine may take from placing one to its being ready."""
    stop_timeout_seconds: Seconds = 10
    """How long one may take to end by itself before it is killed."""
    sweep_seconds: Seconds = 10
    """How often everything is compared anew, behind the events that say what has changed."""
    lease_seconds: Seconds = 15
    """A dispatcher that was silent for so long may be deposed by another."""
    keep_ended_days: Annotated[int, Field(ge=1)] = 14
    """How long the record of what has ended is kept."""


class ProcessEngineSettings(Section):
    """Engine "process": everything runs as processes of this machine."""

    uid_per_member: Literal["auto", "yes", "no"] = "auto"
    """Run each member's processes under a uid of their own: "yes", "no", or "auto": where it is
    possible, which takes root. Without it there is no border between members."""
    first_uid: Annotated[int, Field(ge=1000)] = 60000
    """The first of those uids. Keep 60000 and what follows free of other accounts, or choose
    others."""


class EngineSettings(Section):
    """Where kernels and notebook servers run."""

    name: Literal["process", "fake"] = "process"
    """"process": processes of this machine. "fake": nothing runs; for tests."""
    process: ProcessEngineSettings = ProcessEngineSettings()


class StoreSettings(Section):
    """The database of what should run."""

    url: str | None = Field(default=None, examples=["sqlite:////srv/teamhub/teamhub.sqlite"])
    """As a SQLAlchemy URL. Unset: teamhub.sqlite in the data directory."""


class LogSettings(Section):
    """What the processes write down; `teamhub logs` shows it."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], Restarts((Part.GATEWAY, Part.HUB))
    ] = "info"
    """From which level on: "debug", "info", "warning" or "error"."""
    keep_bytes: Bytes = 50 * 1024**2
    """How large one process's log may grow before a new one is begun."""
    keep_files: Annotated[int, Field(ge=1)] = 5
    """How many older ones of each process are kept."""


class ServerSettings(Section):
    """Notebook servers: JupyterLab, light, for each member."""

    restarts = Restarts((Part.HUB,))

    sizes: tuple[str, ...] | None = Field(default=None, examples=[["standard"]])
    """The sizes that a member chooses from when starting one, the first being proposed, each one
    of [sizes]. With one there is nothing to choose. Unset: not limited."""
    named_per_member: Annotated[int, Field(ge=0)] = 3
    """How many named notebook servers a member may have beside their own. 0: none."""
    start_timeout_seconds: Seconds = 60
    """How long one may take to answer."""
    argv: tuple[str, ...] | None = Field(
        default=None, examples=[["/opt/notebook/bin/teamhub-notebook"]]
    )
    """The command. Unset: the teamhub-notebook of this installation."""


class KernelSettings(Section):
    """What holds for all kernels."""

    restarts = Restarts((Part.GATEWAY,))

    per_user: Annotated[int, Field(ge=1)] = 100
    """How many one member may have at once."""
    default: str = "python3"
    """The kernelspec for a client that names none: an environment's name."""
    start_timeout_seconds: Seconds = 60
    """How long a kernel may take to answer for the first time."""
    environment_bytes: Annotated[int, Field(ge=0)] = 64 * 1024
    """The most that a client's own environment variables may amount to."""


class SizeSettings(Section):
    """How much a kernel or notebook server gets. An environment and a size are one kernel in the
    launcher. A file with sizes of its own has only those."""

    restarts = Restarts((Part.GATEWAY, Part.HUB))

    display_name: str = ""
    """How people see it; empty: the environment's name alone."""
    cpus: Annotated[float, Field(gt=0)] | None = Field(default=None, examples=[2.0])
    """How many CPUs. Unset: not limited."""
    memory: Bytes | None = Field(default=None, examples=["4 GiB"])
    """Bytes, or text such as "512 MiB". Unset: not limited."""


class EnvironmentSettings(Section):
    """What code runs in. A file with environments of its own has only those."""

    restarts = Restarts((Part.GATEWAY,))

    display_name: str = Field(default="", examples=["Python 3"])
    """How people see it; empty: by its name."""
    argv: tuple[str, ...] | None = Field(
        default=None,
        examples=[["{prefix}/bin/python", "-m", "ipykernel_launcher", "-f", "{connection_file}"]],
    )
    """The kernelspec's command; {prefix}, {connection_file} and {resource_dir} are filled in.
    Unset: ipykernel of the interpreter in `prefix`."""
    prefix: str | None = Field(default=None, examples=["/opt/python3"])
    """Where the interpreter lives. Unset: this installation's own."""
    language: str = "python"
    """The language, as notebooks name it."""
    interrupt_mode: Literal["signal", "message"] = "signal"
    """How a running cell is interrupted: "signal" or "message", as the kernel wants it."""
    resource_dir: str | None = Field(
        default=None, examples=["/opt/python3/share/jupyter/kernels/python3"]
    )
    """A folder with its logos: logo-64x64.png, logo-svg.svg, kernel.js. Unset: the kernel's
    own."""
    sizes: tuple[str, ...] | None = Field(default=None, examples=[["standard"]])
    """The sizes in which it is offered, the first being its default. Unset: all."""
    env: Mapping[str, str] = Field(default_factory=dict, examples=[{"OMP_NUM_THREADS": "2"}])
    """Environment variables for its kernels."""
    metadata: Mapping[str, Any] = Field(default_factory=dict, examples=[{"debugger": True}])
    """The kernelspec's metadata, for clients."""


class Config(Section):
    """All settings of one deployment."""

    data_dir: Path = Path(DEFAULT_DATA_DIR).expanduser()
    """Where everything is kept: databases, secrets, homes, logs. Relative to this file. In a file
    that does not set it, the file's own directory; with no file, this."""
    proxy: ProxySettings = ProxySettings()
    hub: HubSettings = HubSettings()
    accounts: AccountSettings = AccountSettings()
    gateway: GatewaySettings = GatewaySettings()
    dispatcher: DispatcherSettings = DispatcherSettings()
    engine: EngineSettings = EngineSettings()
    store: StoreSettings = StoreSettings()
    logs: LogSettings = LogSettings()
    servers: ServerSettings = ServerSettings()
    kernels: KernelSettings = KernelSettings()
    sizes: Mapping[str, SizeSettings] = Field(default_factory=lambda: {"standard": SizeSettings()})
    environments: Mapping[str, EnvironmentSettings] = Field(
        default_factory=lambda: {"python3": EnvironmentSettings(display_name="Python 3")}
    )

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        if not str(value).isprintable():
            # It goes into messages, logs and JSON; nobody means one like that.
            raise ValueError("should be a path without control characters, in UTF-8")
        try:
            return value.expanduser().absolute()
        except RuntimeError:
            raise ValueError("begins with a home directory that there is not") from None

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
        for size in self.servers.sizes or ():
            if size not in self.sizes:
                raise ValueError(f"servers.sizes: no size is called {size!r}")
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
            display_name=settings.display_name or name,
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
