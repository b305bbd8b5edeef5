"""What is wrong with settings that are valid by themselves: on this machine, they fail."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from teamhub.accounts import account_name
from teamhub.config import Config, kernelspec_names
from teamhub.config.documentation import bytes_in_words
from teamhub.engines import border
from teamhub.errors import AccountError, ConfigError

_LOOK_SECONDS = 5.0
_HAS_NONE = 3
_HAS_IPYKERNEL = (
    "import importlib.util, sys; "
    f"sys.exit(0 if importlib.util.find_spec('ipykernel') else {_HAS_NONE})"
)


@dataclass(frozen=True)
class Remark:
    """One thing about the settings.

    Attributes:
        path: the setting.
        text: what is wrong with it, and what to do.
        fatal: whether `teamhub up` refuses to start with it.
    """

    path: str
    text: str
    fatal: bool = False

    def __str__(self) -> str:
        return f"{self.path}: {self.text}"


def remarks(config: Config) -> list[Remark]:
    """Return what is wrong with settings on this machine, what keeps it from starting first."""
    found = [*_addresses(config), *_border(config), *_programs(config), *_sizes(config)]
    return sorted(found, key=lambda one: not one.fatal)


def without_ipykernel(config: Config) -> list[Remark]:
    """Return which environments' interpreters have no ipykernel.

    Asks each interpreter whether it finds it, without importing it, which takes a moment; `doctor`
    imports it. Of one that does not answer in time, nothing is said.
    """
    found = []
    for name, environment in config.environments.items():
        program = shutil.which((*config.environment(name).argv, "")[0])
        if program is None or environment.argv is not None or environment.language != "python":
            continue
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            asked = subprocess.run(
                (program, "-c", _HAS_IPYKERNEL),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                timeout=_LOOK_SECONDS,
            )
            if asked.returncode == _HAS_NONE:
                found.append(
                    Remark(
                        f"environments.{name}",
                        f"{program} cannot import ipykernel: none of its kernels starts; "
                        f"`{program} -m pip install ipykernel`",
                    )
                )
    return found


def _addresses(config: Config) -> Iterator[Remark]:
    try:
        account_name(config.hub.admin)
    except AccountError as error:
        yield Remark("hub.admin", str(error), fatal=True)
    if config.proxy.port < 1024 and os.geteuid() != 0:
        yield Remark("proxy.port", f"is {config.proxy.port}, and those below 1024 need root")
    if not border.is_loopback(config.proxy.host):
        yield Remark(
            "proxy.host",
            f"is {config.proxy.host}: passwords cross the network unencrypted; put a server with "
            "TLS before it",
        )


def _border(config: Config) -> Iterator[Remark]:
    try:
        first_uid, why = border.first_uid(config)
    except ConfigError as error:
        path, _, text = str(error).partition(": ")
        yield Remark(path, text, fatal=True)
        return
    if first_uid is None and config.engine.name == "process":
        yield Remark(
            "engine.process.uid_per_member",
            f"{why}: every member's kernels run as the same user of this machine, and they can "
            "read each other's files; for a trial only",
        )


def _programs(config: Config) -> Iterator[Remark]:
    command = config.proxy.command
    if not command:
        yield Remark("proxy.command", "a command is needed, is empty", fatal=True)
    elif shutil.which(command[0]) is None:
        yield Remark(
            "proxy.command",
            f"{command[0]!r} is not in PATH; install it with "
            "`npm install -g configurable-http-proxy`, or use `./dev up`, which brings it",
        )
    for name, environment in config.environments.items():
        argv = config.environment(name).argv
        if not argv:
            yield Remark(f"environments.{name}.argv", "a command is needed, is empty")
        elif shutil.which(argv[0]) is None:
            what = "prefix" if environment.argv is None else "argv"
            yield Remark(
                f"environments.{name}.{what}",
                f"there is no program {argv[0]}: none of its kernels starts",
            )
        if environment.resource_dir and not Path(environment.resource_dir).is_dir():
            yield Remark(
                f"environments.{name}.resource_dir",
                f"there is no folder {environment.resource_dir}: its kernels have no logo",
            )
    argv = config.servers.argv or ()
    if argv and shutil.which(argv[0]) is None:
        yield Remark("servers.argv", f"there is no program {argv[0]}: no notebook server starts")


def _sizes(config: Config) -> Iterator[Remark]:
    specs = {
        spec
        for name, environment in config.environments.items()
        for spec, _ in kernelspec_names(name, environment.sizes or tuple(config.sizes))
    }
    wanted = config.kernels.default
    if wanted not in specs:
        there_without_a_file = wanted in Config().environments and wanted not in config.environments
        keep = f"; keep it with [environments.{wanted}]" if there_without_a_file else ""
        yield Remark(
            "kernels.default",
            f"no environment makes the kernelspec {wanted!r}; there are: "
            f"{', '.join(sorted(specs))}{keep}",
        )
    if config.engine.name != "process":
        return
    memory, cpus = psutil.virtual_memory().total, os.cpu_count() or 1
    for name, size in config.sizes.items():
        if size.memory is not None and size.memory > memory:
            yield Remark(
                f"sizes.{name}.memory",
                f"is {bytes_in_words(size.memory)}, and this machine has "
                f"{memory / 1024**3:.1f} GiB: nothing of this size ever starts",
            )
        if size.cpus is not None and size.cpus > cpus:
            yield Remark(
                f"sizes.{name}.cpus",
                f"is {size.cpus:g}, and this machine has {cpus}: nothing of this size ever starts",
            )
