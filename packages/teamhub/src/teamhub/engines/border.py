"""Whether engine `process` can give every member a uid of their own, and what it means if not."""

from __future__ import annotations

import ipaddress
import os
import stat
import sys
from pathlib import Path

from teamhub.config import Config
from teamhub.errors import ConfigError

NO_BORDER = (
    "engine process runs every member's notebooks and kernels as the same user of this machine: "
    "it is no border between members, who can read and end each other's work. It listens on "
    "127.0.0.1 only. Use it for a trial, or start teamhub as root with "
    "engine.process.uid_per_member."
)
"""What an administrator must be told where members share a uid."""


def uid_per_member_possible(
    setting: str, interpreter: str | Path = sys.executable, *others: str | Path
) -> tuple[bool, str]:
    """Return whether each member gets a uid of their own, and why (not), in one sentence.

    Args:
        setting: `auto` (if it is possible), `yes` (it must be) or `no`.
        interpreter: the Python that workloads are started with.
        others: further paths that members' processes must get through to: the data directory,
            the prefixes of environments.

    Raises:
        ConfigError: `yes`, and it is not possible: what stands in the way and what to do.
    """
    if setting == "no":
        return False, "engine.process.uid_per_member is no"
    obstacle = _obstacle(Path(interpreter), [Path(other) for other in others])
    if obstacle is None:
        return True, "every member's processes run under a uid of their own"
    reason, remedy = obstacle
    if setting == "yes":
        raise ConfigError(
            f"engine.process.uid_per_member: is yes, but {reason}; {remedy}, or set it to auto"
        )
    return False, reason


def first_uid(config: Config) -> tuple[int | None, str]:
    """Return the uid that members' are counted from, or None and why they share ours.

    Raises:
        ConfigError: `engine.process.uid_per_member` is `yes`, and it is not possible; or members
            share a uid, and the settings let others than this machine's users in.
    """
    if config.engine.name != "process":
        return None, "this engine needs none"
    commands = [config.environment(name).argv[0] for name in config.environments]
    possible, why = uid_per_member_possible(
        config.engine.process.uid_per_member,
        sys.executable,
        *[path for path in (config.data_dir,) if path.exists()],
        *filter(os.path.isabs, filter(os.path.exists, commands)),
    )
    if possible:
        return config.engine.process.first_uid, why
    if not is_loopback(config.proxy.host):
        raise ConfigError(
            f"proxy.host: is {config.proxy.host!r}, but engine process is no border between "
            f"members here ({why}); use 127.0.0.1, or make engine.process.uid_per_member possible"
        )
    return None, why


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _obstacle(interpreter: Path, others: list[Path]) -> tuple[str, str] | None:
    if os.geteuid() != 0:
        return "only root can start processes of other users", "start teamhub as root"
    for path in (interpreter, *others):
        # A link's own path must be open to others as well as what it leads to.
        for each in dict.fromkeys((path.absolute(), path.resolve())):
            closed = _closed(each)
            if closed is not None:
                remedy = f"let other users through it (chmod o+x {closed}) or install elsewhere"
                return f"{closed} is closed to other users", remedy
    return None


def _closed(path: Path) -> Path | None:
    """The first part of a path, from the root, that another user cannot pass, if any."""
    for part in (*reversed(path.parents), path):
        try:
            mode = part.stat().st_mode
        except OSError:
            return part
        needed = stat.S_IXOTH if stat.S_ISDIR(mode) else stat.S_IXOTH | stat.S_IROTH
        if mode & needed != needed:
            return part
    return None
