"""What engine `process` keeps on disk: one directory for each workload, and one for sockets.

    <data_dir>/workloads/<workload id>/     ours
        handle.json    written once the process is there
        exit.json      written when its exit was seen
        about.json     what it is and whose, for whoever reads its log
        log, log.1     stdout and stderr; log.1 is what came before the log was cut
        own/           the workload's user's: address.json
    <data_dir>/workloads/.ended/<id>/       about.json, log and log.1 of one that was removed
    <sockets>/<short name>/                 the workload's user's: TEAMHUB_RUNTIME_DIR
    <sockets>/wake                          the engine's datagram socket

What the workload's user may write lies apart: whoever could write `handle.json` could aim a
signal, or a file of root's, at anything.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from teamhub.errors import EngineError
from teamhub.logs.lines import Origin
from teamhub.model import Address, Handle, Kind, Launch
from teamhub.reasons import Reason

SOCKET_PATH_BYTES = 107
"""The longest path of a unix socket on Linux."""
SOCKET_NAME_BYTES = 40
"""What a workload's own socket names may need below TEAMHUB_RUNTIME_DIR."""

LOG_BYTES = 8 * 1024**2
"""Beyond this a log is cut whenever it is looked at; so a log and what came before it stay below
this and what is written between two looks, which the dispatcher's sweep decides."""
KEPT_LOG_BYTES = 1024**2
"""What is kept of a log that is cut, and the most that is read of one."""

_RECORD_BYTES = 4096
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


def valid_name(name: str) -> bool:
    """Return whether a workload's or deployment's id can be the name of a directory."""
    return _NAME.fullmatch(name) is not None


@dataclass(frozen=True)
class Directory:
    """The directories of one workload."""

    path: Path
    runtime: Path

    @property
    def address_file(self) -> Path:
        """Where the workload writes `{"port": n, "ready": bool}`."""
        return self.path / "own" / "address.json"

    @property
    def log(self) -> Path:
        """What it wrote to stdout and stderr."""
        return self.path / "log"

    @property
    def older_log(self) -> Path:
        """What was in the log before it was cut."""
        return self.path / "log.1"

    def create(self, uid: int | None, gid: int | None, launch: Launch | None = None) -> None:
        """Make everything that is not there, empty.

        Args:
            uid: whom the workload's own part belongs to; None: us.
            gid: its group, where `uid` is given.
            launch: what it is for.
        """
        # Other users may pass through it to their own part, and see nothing.
        self.path.mkdir(mode=0o700 if uid is None else 0o711)
        own = [self.address_file.parent, self.runtime]
        for path in own:
            path.mkdir(mode=0o700, exist_ok=True)
        if launch is not None:
            about = {"kind": launch.kind.value, "owner": launch.owner}
            _write(self.path / "about.json", about)
        # Last: where there is a log it is known whose.
        _write_private(self.log, b"")
        if uid is not None:
            self.path.chmod(0o711)
            for path in (*own, self.log):
                os.chown(path, uid, -1 if gid is None else gid, follow_symlinks=False)

    def keep_log(self, ended: Path) -> None:
        """Move the log to where those of ended workloads are kept, where that is possible.

        Of a workload that was started again after it had ended, two logs are kept.
        """
        kept = Directory(ended / self.path.name, ended / self.path.name)
        try:
            if not self.log.stat().st_size:
                return
            kept.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if kept.log.exists():
                kept.log.rename(kept.older_log)
            elif self.older_log.exists():
                self.older_log.rename(kept.older_log)
            self.log.rename(kept.log)
            (self.path / "about.json").rename(kept.path / "about.json")
        except OSError:
            return  # it is only a log: the workload must be removed all the same

    def wipe(self) -> None:
        """Delete everything. What is not there is no fault."""
        for path in (self.runtime, self.path):
            try:
                shutil.rmtree(path)
            except FileNotFoundError:
                continue
            except PermissionError:
                # A workload may close its own directories to its own user.
                _open_up(path)
                shutil.rmtree(path)

    def owner(self) -> int | None:
        """Return the uid that the workload was meant to run as, None where that is not known."""
        try:
            return self.address_file.parent.stat(follow_symlinks=False).st_uid
        except OSError:
            return None

    def origin(self) -> Origin:
        """Return whose log it is."""
        about = _read(self.path / "about.json") or {}
        kind, owner = about.get("kind"), about.get("owner")
        name = "server_id" if kind == Kind.SERVER else "kernel_id"
        fields = {name: self.path.name} | ({"user": owner} if isinstance(owner, str) else {})
        if kind == Kind.SERVER:
            return Origin("notebook", fields, workload=True, writes="notebook")
        return Origin("kernel", fields, workload=True, writes="shim")

    def write_handle(self, handle: Handle) -> None:
        """Record what was started."""
        _write(self.path / "handle.json", handle.to_json())

    def handle(self) -> Handle | None:
        """Return what was started, None where that was never recorded."""
        value = _read(self.path / "handle.json")
        try:
            return None if value is None else Handle.from_json(value)
        except KeyError:
            return None

    def write_exit(self, code: int) -> None:
        """Record the exit code. Where that fails (a full disk, just removed), it is not known."""
        try:
            _write(self.path / "exit.json", {"exit_code": code})
        except OSError:
            return

    def exit_code(self) -> int | None:
        """Return the recorded exit code, None where none was seen."""
        code = (_read(self.path / "exit.json") or {}).get("exit_code")
        return code if isinstance(code, int) else None

    def address(self) -> tuple[Address | None, bool]:
        """Return where the workload says it listens, and whether it says that it is ready.

        The file is the workload's: whatever else it may be than what was agreed counts as absent.
        """
        value = _read(self.address_file) or {}
        port, ready = value.get("port"), value.get("ready")
        if not isinstance(port, int) or isinstance(port, bool) or not 0 < port < 65536:
            return None, False
        return Address("127.0.0.1", port), ready is True

    def cut_log(self) -> None:
        """Cut the log where it has become too long, and keep its end in `log.1`.

        The workload goes on writing to the same file, which it appends to. What it writes
        between the copy and the cut is lost: the price for a log that needs nobody to pump it.
        """
        try:
            if self.log.stat().st_size <= LOG_BYTES:
                return
            kept = _tail(self.log)
            # First room, then the copy: it is a full disk that this is against.
            os.truncate(self.log, 0)
            _write_private(self.older_log, kept)
        except OSError:
            return

    def log_lines(self, tail: int) -> str:
        """Return the last lines of the log, at most KEPT_LOG_BYTES of each part."""
        text = b""
        for path in (self.older_log, self.log):
            try:
                text += _tail(path)
            except FileNotFoundError:
                continue
        lines = text.decode(errors="replace").splitlines(keepends=True)
        return "".join(lines[-tail:]) if tail > 0 else ""


class Directories:
    """Where the directories of all workloads of one deployment are."""

    def __init__(self, data_dir: Path, deployment: str) -> None:
        """Args:
        data_dir: the deployment's; made where it does not exist.
        deployment: the deployment's id.
        """
        self.workloads = data_dir / "workloads"
        self.sockets = sockets_path(data_dir, deployment)

    @property
    def wake_socket(self) -> Path:
        """Where workloads send their id to be looked at: the same path after every restart."""
        return self.sockets / "wake"

    def open(self) -> None:
        """Make both roots, or check that they are ours. Raises EngineError where they are not."""
        self.workloads.parent.mkdir(parents=True, exist_ok=True)
        # As root, members' processes pass through to what is theirs, and cannot list it.
        mode = 0o711 if os.geteuid() == 0 else 0o700
        make_private(self.workloads, mode)
        make_private(self.sockets, mode)

    def close(self) -> None:
        """Leave nothing below the temporary directory that no workload needs."""
        try:
            self.sockets.rmdir()
        except OSError:
            return

    def of(self, workload_id: str) -> Directory:
        """Return the directories of one workload, which need not exist."""
        short = hashlib.sha256(workload_id.encode()).hexdigest()[:12]
        return Directory(self.workloads / workload_id, self.sockets / short)

    def ids(self) -> list[str]:
        """Return the ids of all workloads that have a directory."""
        return sorted(path.name for path in self.workloads.iterdir() if valid_name(path.name))


def sockets_path(data_dir: Path, deployment: str) -> Path:
    """Return a directory for sockets whose paths stay short enough for the operating system.

    In the data directory where that is possible, else below the system's temporary directory.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,20}", deployment):
        deployment = hashlib.sha256(deployment.encode()).hexdigest()[:12]
    name = f"teamhub-{deployment}"
    candidates = [data_dir / "sockets", Path(tempfile.gettempdir()) / name]
    for path in candidates:
        if len(os.fsencode(path)) + 1 + 12 + 1 + SOCKET_NAME_BYTES <= SOCKET_PATH_BYTES:
            return path
    return Path("/tmp") / name  # noqa: S108  made private, and checked, by make_private


def make_private(path: Path, mode: int) -> None:
    """Make a directory that only we can write to, or check that it is one.

    Raises:
        EngineError: it is a link, not a directory, or belongs to somebody else.
    """
    try:
        path.mkdir(mode=mode)
    except FileExistsError:
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise EngineError(
                Reason.ENGINE,
                f"{path} is a link or belongs to somebody else; delete it and start again",
            ) from None
    path.chmod(mode)


def _open_up(path: Path) -> None:
    path.chmod(0o700)
    for parent, names, _ in os.walk(path):
        for inner in (Path(parent, name) for name in names):
            if not inner.is_symlink():
                inner.chmod(0o700)


def _write(path: Path, value: Mapping[str, Any]) -> None:
    new = path.with_suffix(".new")
    _write_private(new, json.dumps(value).encode())
    new.replace(path)


def _write_private(path: Path, data: bytes) -> None:
    # Other users can pass through the directory, and guess the names in it.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def _read(path: Path) -> dict[str, Any] | None:
    """A small JSON object from a regular file; None for anything else, links and pipes too."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        value = json.loads(os.read(descriptor, _RECORD_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    finally:
        os.close(descriptor)
    return value if isinstance(value, dict) else None


def _tail(path: Path) -> bytes:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - KEPT_LOG_BYTES))
        return file.read(KEPT_LOG_BYTES)
