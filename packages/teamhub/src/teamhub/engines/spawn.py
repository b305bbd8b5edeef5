"""Starting one process for a launch, and what it says when that is not possible."""

from __future__ import annotations

import errno
import os
import pwd
import subprocess
from collections.abc import Mapping
from pathlib import Path

from teamhub.errors import EngineError
from teamhub.model import Launch
from teamhub.reasons import Reason

_NO_PROGRAM = frozenset(
    {errno.ENOENT, errno.EACCES, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENOEXEC}
)


_MEMBERS_UMASK = 0o022
"""Ours is stricter; members' files are to be as they are on any machine."""


def spawn(launch: Launch, environment: Mapping[str, str], log: Path) -> int:
    """Start the launch's command in a session of its own and return its process id.

    The caller reaps it, by its id. The command is looked for in the PATH of `environment`.

    Args:
        launch: what to start, and as whom.
        environment: all of the process' environment.
        log: an existing file that stdout and stderr are appended to.

    Raises:
        EngineError: COMMAND_NOT_FOUND, or ENGINE for a working directory or uid that cannot be.
    """
    if launch.uid is not None and os.geteuid() != 0:
        detail = f"running as uid {launch.uid} needs root; see engine.process.uid_per_member"
        raise EngineError(Reason.ENGINE, detail)
    if not launch.argv:
        raise EngineError(Reason.COMMAND_NOT_FOUND, "the command is empty")
    directory = launch.working_dir or "/"
    with log.open("ab") as output:
        try:
            process = subprocess.Popen(
                launch.argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=directory,
                env=environment,
                start_new_session=True,
                umask=_MEMBERS_UMASK,
                user=launch.uid,
                group=group_of(launch),
                extra_groups=None if launch.uid is None else [],
            )
        except OSError as error:
            # Popen names the directory instead of the command where it did not come to that.
            if error.filename == directory:
                detail = f"the working directory {directory} cannot be entered: {error.strerror}"
                raise EngineError(Reason.ENGINE, detail) from error
            reason = Reason.COMMAND_NOT_FOUND if error.errno in _NO_PROGRAM else Reason.ENGINE
            detail = f"the command {launch.argv[0]} cannot be executed: {error.strerror}"
            raise EngineError(reason, detail) from error
    # Otherwise Popen, when it is collected, would reap as well, and take the exit code with it.
    process.returncode = 0
    return process.pid


def group_of(launch: Launch) -> int | None:
    """Return the group to run as: never root's for somebody else. None: our own."""
    if launch.uid is None or launch.gid is not None:
        return launch.gid
    try:
        return pwd.getpwuid(launch.uid).pw_gid
    except KeyError:
        return launch.uid
