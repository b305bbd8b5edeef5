"""Changed settings for a server that runs: `teamhub config apply`, both sides of it.

The command leaves a request in `run/requests`, wakes the supervisor with SIGUSR2, and watches for
the answer beside it. The supervisor reads the file again itself: a request says nothing but that.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Literal

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

from teamhub.config import Config, Part
from teamhub.config.changes import Change, changes, parts_of
from teamhub.deployment import Deployment, write_private
from teamhub.engines import border
from teamhub.errors import NotRunningError, RefusedError, TeamhubError
from teamhub.supervisor.lock import holder
from teamhub.supervisor.origin import Origin
from teamhub.supervisor.programs import GATEWAY, HUB
from teamhub.supervisor.terminal import Terminal

RESTART = "`teamhub down --keep-kernels`, then `teamhub up`"
"""What to do for a change that only a start of everything applies."""

_LOOK_SECONDS = 0.1
_SILENT_SECONDS = 30.0
_ANSWER_SECONDS = 400.0
_KEPT_SECONDS = 3600.0
_NAME = re.compile(r"[0-9a-f]{32}\.request")
_PROGRAMS = {Part.GATEWAY: GATEWAY, Part.HUB: HUB}

Restart = Callable[[Deployment, Sequence[str], Callable[[str], None]], Awaitable[None]]
"""Starts programs again under other settings and waits until they are ready.

Raises TeamhubError, with what a program said last, where one does not get ready.
"""


class Answer(BaseModel):
    """What a supervisor says to a request, and in the end what came of it.

    Attributes:
        message: what is being done, or what went wrong.
        changed: the paths of the settings that have other values now.
        restarted: the programs that were started again for it.
    """

    model_config = ConfigDict(frozen=True)

    state: Literal["working", "done", "failed"]
    message: str = ""
    exit_code: int = 0
    changed: tuple[str, ...] = ()
    restarted: tuple[str, ...] = ()


def refusal(found: Sequence[Change]) -> RefusedError | None:
    """Return why changes cannot be applied to a server that runs, None where they can be."""
    if Part.SERVER not in parts_of(found):
        return None
    paths = ", ".join(change.path for change in found if Part.SERVER in change.restarts)
    return RefusedError(
        f"{paths}: only a restart of everything applies this; nothing was applied; use {RESTART}: "
        "kernels and notebook servers go on"
    )


def names_of(found: Sequence[Change]) -> tuple[str, ...]:
    """Return the programs that changes take a restart of, in the order of their restart."""
    parts = parts_of(found)
    return tuple(name for part, name in _PROGRAMS.items() if part in parts)


async def apply(
    origin: Origin | None,
    running: Deployment,
    restart: Restart,
    working: Callable[[str], None],
) -> tuple[Config, Answer]:
    """Apply what has changed in the settings' file, or nothing.

    Where a program does not get ready with the new settings, the old ones are put back.

    Args:
        origin: where the settings come from.
        running: the deployment with the settings in force.
        restart: see there.
        working: told what is being done.

    Returns:
        The settings in force now, and what is to be answered.
    """
    before = running.config
    try:
        if origin is None:
            raise RefusedError(f"the settings' file is not known; use {RESTART}")
        after = origin.load()
        found = changes(before, after)
        if not found:
            return before, Answer(state="done")
        if (refused := refusal(found)) is not None:
            raise refused
        _keep_border(before, after)
        await _switch(running, after, names_of(found), restart, working)
    except TeamhubError as error:
        return before, Answer(state="failed", message=str(error), exit_code=error.exit_code)
    except OSError as error:
        said = f"{running.settings_file}: cannot be written: {error.strerror}"
        return before, Answer(state="failed", message=said, exit_code=1)
    paths = tuple(change.path for change in found)
    return after, Answer(state="done", changed=paths, restarted=names_of(found))


def _keep_border(before: Config, after: Config) -> None:
    """An environment's interpreter that is closed to others would end the border between members.

    Raises:
        ConfigError: the new settings cannot be followed.
        RefusedError: members would come to share a uid, or no longer do.
    """
    old, _ = border.first_uid(before)
    new, why = border.first_uid(after)
    if old != new:
        raise RefusedError(
            f"this changes under which uids members' processes run ({why}); nothing was applied; "
            f"use {RESTART}"
        )


async def _switch(
    running: Deployment,
    after: Config,
    names: Sequence[str],
    restart: Restart,
    working: Callable[[str], None],
) -> None:
    changed = Deployment(after)
    changed.prepare()
    try:
        await restart(changed, names, working)
    except TeamhubError as error:
        working("putting the old settings back")
        running.prepare()
        try:
            await restart(running, names, working)
        except TeamhubError as second:
            raise TeamhubError(
                f"not applied: {error}\nand with the old settings, which were put back: {second}"
            ) from None
        raise TeamhubError(f"not applied, the old settings are in force: {error}") from None
    except BaseException:
        # The server is ending. The next start reads the file anyway.
        running.prepare()
        raise


# The supervisor's side of the files


def pending(deployment: Deployment) -> list[str]:
    """Return the ids of requests that wait for an answer, oldest first."""
    found = [
        path
        for path in _directory(deployment).glob("*.request")
        if _NAME.fullmatch(path.name) and not path.with_suffix(".answer").exists()
    ]
    return [path.stem for path in sorted(found, key=_age_key)]


def answer(deployment: Deployment, request_id: str, said: Answer) -> None:
    """Write an answer. Who asked may be gone, and the disk full: then nobody is told."""
    path = _directory(deployment) / f"{request_id}.{'working' if _open(said) else 'answer'}"
    with contextlib.suppress(OSError):
        write_private(path, said.model_dump_json())


def tidy(deployment: Deployment, older_than_seconds: float = _KEPT_SECONDS) -> None:
    """Remove what those who asked have left behind."""
    for path in _directory(deployment).glob("*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > older_than_seconds:
                path.unlink()


# The command's side


async def ask(deployment: Deployment, terminal: Terminal) -> Answer:
    """Have the supervisor of a deployment apply what has changed, and wait until it has.

    Raises:
        NotRunningError: there is none, or it ends meanwhile.
        TeamhubError: it does not answer, or belongs to another account.
    """
    process = holder(deployment.data_dir)
    if process is None:
        raise not_running(deployment)
    directory, request_id = _directory(deployment), uuid.uuid4().hex
    files = [directory / f"{request_id}.{kind}" for kind in ("request", "working", "answer")]
    try:
        try:
            directory.mkdir(mode=0o700, exist_ok=True)
            write_private(files[0], "")
            process.send_signal(signal.SIGUSR2)
        except psutil.NoSuchProcess:
            raise not_running(deployment) from None
        except (psutil.AccessDenied, OSError):
            raise TeamhubError(
                f"the team server on {deployment.data_dir} (process {process.pid}) belongs to "
                "another account; run this as that account"
            ) from None
        return await _answer_to(deployment, process.pid, files[1], files[2], terminal)
    finally:
        for path in files:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


async def _answer_to(
    deployment: Deployment, pid: int, working: Path, answered: Path, terminal: Terminal
) -> Answer:
    begin = time.monotonic()
    heard = False
    while True:
        if (said := _read(answered)) is not None:
            return said
        if (progress := _read(working)) is not None:
            heard = True
            terminal.progress(progress.message)
        waited = time.monotonic() - begin
        now = holder(deployment.data_dir)
        if now is None or now.pid != pid:
            raise NotRunningError(
                "the team server has ended meanwhile; `teamhub up` reads the settings anew"
            )
        if waited > (_ANSWER_SECONDS if heard else _SILENT_SECONDS):
            raise TeamhubError(
                f"the team server (process {pid}) has not answered within {waited:.0f} s; "
                "it applies nothing while it is still coming up, see `teamhub status`"
            )
        await asyncio.sleep(_LOOK_SECONDS)


def not_running(deployment: Deployment) -> NotRunningError:
    """Return what is said where no server runs that settings could be applied to."""
    return NotRunningError(
        f"no team server is running on {deployment.data_dir}; "
        "`teamhub up` reads the settings when it starts"
    )


def _directory(deployment: Deployment) -> Path:
    return deployment.run_dir / "requests"


def _open(said: Answer) -> bool:
    return said.state == "working"


def _read(path: Path) -> Answer | None:
    try:
        return Answer.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def _age_key(path: Path) -> float:
    try:
        return os.stat(path).st_mtime  # noqa: PTH116
    except OSError:
        return 0.0
