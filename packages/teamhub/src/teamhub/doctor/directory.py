"""The data directory: whose it is, who may look into it, and whether there is room."""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
from pathlib import Path

from teamhub.disk import LITTLE, REMEDY, Disk
from teamhub.doctor.check import Check, Finding, Patient, ok, problem, skipped, warning
from teamhub.doctor.settings import remarks

_MIB, _GIB = 1024**2, 1024**3
_LARGE_LOGS_BYTES = 2 * _GIB
_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "ceph", "glusterfs"}
_FORGETFUL = {"tmpfs", "ramfs"}


async def _settings(patient: Patient) -> Finding:
    if patient.fault or patient.config is None:
        return problem(
            "; ".join(patient.fault.splitlines()), "correct the file; see `teamhub config docs`"
        )
    found = remarks(patient.config)
    fatal = [one for one in found if one.fatal]
    if fatal:
        return problem(str(fatal[0]), "change that setting, then `teamhub config check`")
    # The others have checks of their own here, or are warnings of `config check`.
    return ok(f"valid{'; see `teamhub config check` for its warnings' if found else ''}")


async def _there(patient: Patient) -> Finding:
    path = patient.data_dir
    if not path.exists():
        above = next(part for part in path.parents if part.exists())
        if not os.access(above, os.W_OK | os.X_OK):
            return problem(
                f"{path} is not there, and {above} cannot be written to by this account",
                "choose another with --data-dir, or have it made for you",
            )
        return ok(f"{path} is not there yet; `teamhub up` makes it")
    found = path.stat()
    me = os.geteuid()
    if not stat.S_ISDIR(found.st_mode):
        return problem(f"{path} is no directory", "choose another with --data-dir")
    if me not in {found.st_uid, 0}:
        return problem(
            f"{path} belongs to uid {found.st_uid}, this is uid {me}",
            "run teamhub as the account that owns it",
        )
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o022:
        return problem(f"{path} may be written to by others (mode {mode:o})", f"chmod go-w {path}")
    if mode & 0o044:
        return warning(
            f"others may list {path} (mode {mode:o})",
            f"chmod go-r {path}; with a uid per member, others only need to pass through: 711",
        )
    try:
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        return problem(f"{path} cannot be written: {error.strerror}", "see what this error means")
    return ok(f"{path}, mode {mode:o}")


async def _space(patient: Patient) -> Finding:
    path = _nearest(patient.data_dir)
    found = os.statvfs(path)
    disk = Disk.of(path)
    if disk.nearly_full:
        return problem(str(disk), REMEDY)
    if found.f_files and found.f_favail < LITTLE * found.f_files:
        return warning(f"only {found.f_favail} of {found.f_files} inodes are free", REMEDY)
    if disk.low:
        return warning(str(disk), REMEDY)
    return ok(str(disk))


async def _file_system(patient: Patient) -> Finding:
    path = _nearest(patient.data_dir)
    kind = file_system_of(path)
    on_sqlite = patient.config is None or patient.config.store_url().startswith("sqlite")
    elsewhere = "move the data directory to a local disk, and start with --data-dir"
    if kind in _NETWORK and on_sqlite:
        return problem(f"{path} is on {kind}: SQLite does not work reliably there", elsewhere)
    if os.access(path, os.W_OK):
        try:
            with tempfile.TemporaryFile(dir=path) as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return problem(f"{path} ({kind}) has no locks: {error.strerror}", elsewhere)
    if kind in _FORGETFUL:
        return warning(f"{path} is on {kind}: a restart of this machine loses all", elsewhere)
    return ok(f"{kind or 'unknown'}, with locks")


async def _secrets(patient: Patient) -> Finding:
    directory = patient.data_dir / "secrets"
    if not directory.is_dir():
        return skipped("none yet: they are made at the first start")
    mode = stat.S_IMODE(directory.stat().st_mode)
    files = sorted(directory.iterdir())
    if mode & 0o077:
        return problem(f"{directory} is open to others (mode {mode:o})", f"chmod 700 {directory}")
    for path in files:
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode) or found.st_mode & 0o077:
            return problem(
                f"{path} is open to others (mode {stat.S_IMODE(found.st_mode):o})",
                f"chmod 600 {path}; if somebody may have read it: remove it and restart",
            )
        if found.st_size == 0:
            return problem(
                f"{path} is empty: it was not written whole",
                "remove it, then `teamhub down --keep-kernels` and `teamhub up` make a new one",
            )
    return ok(f"{len(files)} files, for their owner alone")


async def _logs(patient: Patient) -> Finding:
    directory = patient.data_dir / "logs"
    if not directory.is_dir():
        return skipped("none yet")
    sizes = {path: path.stat().st_size for path in directory.iterdir() if path.is_file()}
    total = sum(sizes.values())
    text = f"{len(sizes)} files, {total / _MIB:.1f} MiB"
    if total > _LARGE_LOGS_BYTES:
        largest = max(sizes, key=lambda path: sizes[path])
        return warning(f"{text}; the largest is {largest.name}", "see [logs] in the settings")
    return ok(text)


def file_system_of(path: Path, mounts: Path = Path("/proc/self/mounts")) -> str:
    """Return the type of the file system that a path is on, empty where it is not known."""
    best, kind = "", ""
    try:
        lines = mounts.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    resolved = str(path.resolve())
    for line in lines:
        fields = line.split()
        if len(fields) < 3:
            continue
        point = fields[1].replace("\\040", " ")
        inside = resolved == point or resolved.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, fields[2]
    return kind


def _nearest(path: Path) -> Path:
    """The path, or what of it there is."""
    return next(part for part in (path, *path.parents) if part.exists())


CHECKS = (
    Check("settings", _settings, settings=False),
    Check("data directory", _there, settings=False),
    Check("disk space", _space, settings=False),
    Check("file system", _file_system, settings=False),
    Check("secrets", _secrets, settings=False),
    Check("logs", _logs, settings=False),
)
