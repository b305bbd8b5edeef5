"""One deployment on this machine: where its files are, its ports and its secrets.

::

    data_dir/                 0700; 0711 where root gives every member a uid
    ├── teamhub.toml          the settings, where there are any
    ├── teamhub.sqlite        the store        hub.sqlite   the hub's own database
    ├── secrets/              0600 each, made at the first start, never printed
    ├── homes/NAME            members' home directories
    ├── workloads/ID          what the engine keeps of a workload
    ├── logs/NAME.log         one for each process
    └── run/                  what matters while it runs: ports, pids, sockets, settings in force
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import pwd
import re
import secrets
import socket
import stat
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import zmq

from teamhub.config import Config
from teamhub.errors import ConfigError, NotRunningError, TeamhubError

SOCKET_PATH_BYTES = 107
"""The longest path of a unix socket on Linux."""

_LONGEST_SOCKET_NAME = 48

_HEX = r"[0-9a-f]{64}"
_SECRETS = {
    "cookie": _HEX,
    "proxy-token": _HEX,
    "gateway-token": _HEX,
    "operator-token": _HEX,
    "gateway-curve": r"[!-~]{40} [!-~]{40}",
}
"""What each file of secrets holds."""


@dataclass(frozen=True)
class Ports:
    """The loopback ports behind the public one; kept, since notebook servers know them."""

    proxy_api: int
    hub: int
    gateway: int


@dataclass(frozen=True)
class Secrets:
    """What the processes of a deployment know each other by."""

    cookie: str
    proxy_token: str
    gateway_token: str
    operator_token: str
    gateway_public_key: str
    gateway_secret_key: str


class Deployment:
    """The files of a deployment. Making one touches nothing; `prepare` does.

    Args:
        config: its settings.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.data_dir = config.data_dir
        self.run_dir = self.data_dir / "run"
        self.logs_dir = self.data_dir / "logs"
        self.secrets_dir = self.data_dir / "secrets"
        self.settings_file = self.run_dir / "settings.json"

    @classmethod
    def running(cls, data_dir: Path) -> Deployment:
        """Return the deployment on a data directory with the settings in force there.

        Raises:
            NotRunningError: none has ever been started there.
            TeamhubError: they cannot be read or understood.
        """
        path = data_dir.expanduser().absolute() / "run" / "settings.json"
        try:
            return cls(Config.model_validate_json(path.read_bytes()))
        except FileNotFoundError:
            raise NotRunningError(
                f"there is no team server in {data_dir}; start one with "
                f"`teamhub up --data-dir {data_dir}`"
            ) from None
        except OSError as error:
            raise TeamhubError(
                f"{path}: cannot be read: {error.strerror}; use the user that runs the team "
                "server, or another --data-dir"
            ) from None
        except ValueError:
            raise TeamhubError(
                f"{path}: cannot be understood: it is damaged, or of another teamhub; "
                f"`teamhub up --data-dir {data_dir}` writes it anew"
            ) from None

    def make_directories(self) -> None:
        """Make the directories that are not there. What is there keeps its permissions.

        From here on, files that this process makes are for its own user alone.

        Raises:
            OSError: one of them cannot be made; then none is.
        """
        os.umask(0o077)
        # With a uid per member, their processes pass through to what is theirs.
        passable = 0o711 if os.geteuid() == 0 else 0o700
        made: list[Path] = []
        try:
            self._make_directories(passable, made)
        except OSError:
            for directory in reversed(made):
                with contextlib.suppress(OSError):
                    directory.rmdir()
            raise

    def _make_directories(self, passable: int, made: list[Path]) -> None:
        for directory, mode in (
            (self.data_dir, passable),
            (self.data_dir / "homes", passable),
            (self.data_dir / "workloads", passable),
            (self.run_dir, 0o700),
            (self.logs_dir, 0o700),
            (self.secrets_dir, 0o700),
        ):
            if not directory.is_dir():
                above = [each for each in directory.parents if not each.exists()]
                made += [*reversed(above), directory]
                directory.mkdir(parents=True)
                directory.chmod(mode)

    def prepare(self) -> None:
        """Make the directories and note the settings in force.

        Raises:
            ConfigError: the data directory cannot be made or written to.
        """
        try:
            self.make_directories()
            write_private(self.settings_file, self.config.model_dump_json())
        except OSError as error:
            raise unusable(error, self.data_dir) from None

    def log_file(self, process: str) -> Path:
        """Return where a process of ours writes its log."""
        return self.logs_dir / f"{process}.log"

    def socket_dir(self) -> Path:
        """Return a private directory short enough for unix sockets, made if need be.

        Raises:
            TeamhubError: the one in the temporary directory belongs to somebody else.
        """
        preferred = self.run_dir / "sockets"
        if len(str(preferred)) + _LONGEST_SOCKET_NAME <= SOCKET_PATH_BYTES:
            preferred.mkdir(mode=0o700, parents=True, exist_ok=True)
            return preferred
        digest = hashlib.sha256(str(self.data_dir).encode()).hexdigest()[:12]
        short = Path(tempfile.gettempdir()) / f"teamhub-{os.getuid()}-{digest}"
        short.mkdir(mode=0o700, exist_ok=True)
        found = short.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise TeamhubError(f"{short}: is not a private directory of ours; remove it")
        return short

    def secrets(self) -> Secrets:
        """Return the secrets, made at the first call ever.

        Raises:
            TeamhubError: one of them cannot be read, or is not what was once written there.
        """
        return Secrets(
            cookie=self._secret("cookie", lambda: secrets.token_hex(32)),
            proxy_token=self._secret("proxy-token", lambda: secrets.token_hex(32)),
            gateway_token=self._secret("gateway-token", lambda: secrets.token_hex(32)),
            operator_token=self._secret("operator-token", lambda: secrets.token_hex(32)),
            gateway_public_key=self._curve()[0],
            gateway_secret_key=self._curve()[1],
        )

    def check_secrets(self) -> None:
        """See that the secrets that there are can be read and are such. Makes none.

        Raises:
            TeamhubError: one of them cannot be read, or is not what was once written there.
        """
        for name, pattern in _SECRETS.items():
            self._read_secret(name, pattern)

    def tighten_secrets(self) -> Sequence[Path]:
        """Take every right to the secrets from others; return those that others could read.

        Raises:
            TeamhubError: it cannot be done.
        """
        open_to_others = []
        try:
            for path in sorted((self.secrets_dir, *self.secrets_dir.iterdir())):
                mode = path.stat().st_mode
                if mode & 0o077:
                    path.chmod(stat.S_IMODE(mode) & 0o700)
                    open_to_others.append(path)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise TeamhubError(
                f"{error.filename}: others must not be able to read it, and its mode cannot be "
                f"changed: {error.strerror}; `chmod -R go= {self.secrets_dir}` as its owner"
            ) from None
        return open_to_others

    def ports(self, *, fresh: bool = False) -> Ports:
        """Return the loopback ports, chosen once.

        Args:
            fresh: choose anew those that something else has taken meanwhile.
        """
        path = self.run_dir / "ports.json"
        try:
            known = Ports(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError):
            known = None
        if known is not None and not _are_ports(list(vars(known).values())):
            known = None
        if known is not None and not (fresh and not all(map(_free, vars(known).values()))):
            return known
        chosen = Ports(*_free_ports(3))
        write_private(path, json.dumps(vars(chosen)))
        return chosen

    def public_url(self) -> str:
        """Return the address that people open, without a slash at its end."""
        host = self.config.proxy.host
        shown = "127.0.0.1" if host in {"0.0.0.0", "::", ""} else host  # noqa: S104
        return f"http://{f'[{shown}]' if ':' in shown else shown}:{self.config.proxy.port}"

    def hub_api_url(self) -> str:
        """Return the hub's API as our own processes reach it."""
        return f"http://127.0.0.1:{self.ports().hub}/hub/api"

    def gateway_url(self) -> str:
        """Return the gateway as our own processes reach it."""
        return f"http://127.0.0.1:{self.ports().gateway}/services/gateway"

    def _secret(self, name: str, make: Callable[[], str]) -> str:
        pattern = _SECRETS[name]
        found = self._read_secret(name, pattern)
        if found is None:
            write_private(self.secrets_dir / name, found := make())
        return found

    def _read_secret(self, name: str, pattern: str) -> str | None:
        path = self.secrets_dir / name
        try:
            text = path.read_text().strip()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise TeamhubError(
                f"{path}: cannot be read: {error.strerror}; it should be a file that the user who "
                "runs the team server may read"
            ) from None
        except UnicodeDecodeError:
            text = ""
        if not re.fullmatch(pattern, text):
            raise TeamhubError(
                f"{path}: is not what teamhub once wrote there; put it back, or remove it: then "
                "`teamhub up` makes a new one, and what knew the old one is not believed any more"
            )
        return text

    def _curve(self) -> tuple[str, str]:
        def make() -> str:
            public, secret = zmq.curve_keypair()
            return f"{public.decode()} {secret.decode()}"

        public, secret = self._secret("gateway-curve", make).split()
        return public, secret


def unusable(error: OSError, data_dir: Path) -> ConfigError:
    """Return what a user is told of a data directory that cannot be used."""
    path = Path(os.fsdecode(error.filename) if error.filename else data_dir)
    if error.errno == errno.ENOLCK:
        why = "its file system has no locks"
    elif error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return ConfigError(
            f"data_dir: {path}: the disk is full; make room, or choose another with --data-dir"
        )
    elif error.errno == errno.ENAMETOOLONG:
        return ConfigError(
            f"data_dir: {str(path)[:60]}…: a path of {len(str(path))} characters is too long for "
            "this file system; choose another with --data-dir"
        )
    elif error.errno in {errno.EEXIST, errno.ENOTDIR}:
        link = path.is_symlink() and not path.exists()
        why = "is a link that leads nowhere" if link else "is not a directory"
    else:
        why = f"cannot be written: {error.strerror}"
    return ConfigError(f"data_dir: {path}: {why}; choose another with --data-dir")


def belongs_to_another(data_dir: Path) -> str | None:
    """Return who a data directory that was in use before belongs to, where that is not us."""
    for part in ("secrets", "run"):
        try:
            owner = (data_dir / part).stat().st_uid
        except OSError:
            continue
        if owner != os.geteuid():
            return _user(owner)
    return None


def _user(uid: int) -> str:
    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"


def _are_ports(values: Sequence[object]) -> bool:
    return all(type(value) is int and 0 < value < 65536 for value in values)


def write_private(path: Path, text: str) -> None:
    """Write a file whole or not at all, readable by its owner alone."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()
