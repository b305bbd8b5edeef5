"""What the tests of bad input speak in: a command as a person runs it, and what it left behind."""

from __future__ import annotations

import contextlib
import io
import os
import re
import socket
import stat
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from teamhub.cli import main

TEAMHUB = (sys.executable, "-m", "teamhub.cli")
SECONDS = 60

POWERLESS = ("setpriv", "--bounding-set=-all", "--inh-caps=-all") if os.geteuid() == 0 else ()
"""Before a command: root without root's powers, for whom permissions hold as for everybody."""

_PROGRESS = re.compile(
    r"teamhub: (opening the database|starting the proxy, the hub and the gateway|waiting for .*)"
)


@dataclass(frozen=True)
class Answer:
    """How a command ended, and what it said but for its progress."""

    code: int
    out: str
    err: Sequence[str]

    def said(self) -> str:
        """Return the one line that it said on stderr; fails where it said more, or less."""
        assert self.out == ""
        assert len(self.err) == 1, self.err
        (line,) = self.err
        assert line.startswith(("teamhub: ", "dev: "))
        assert line.isprintable(), line
        assert "unexpected problem" not in line
        return line


def command(
    *arguments: str | Path,
    prefix: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Answer:
    """Run `teamhub` with these arguments to its end, which comes by itself.

    In this process where nothing asks for another one: most of a short command's life is loading.
    """
    if not (prefix or env or cwd):
        return _command_here(list(map(str, arguments)))
    done = subprocess.run(
        [*prefix, *TEAMHUB, *map(str, arguments)],
        env={**os.environ, **(env or {})},
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return _answer(done.returncode, done.stdout, done.stderr)


def _command_here(arguments: list[str]) -> Answer:
    out, err = io.StringIO(), io.StringIO()
    umask = os.umask(0o022)
    try:
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            pytest.raises(SystemExit) as ended,
        ):
            main(arguments)
    finally:
        os.umask(umask)
    return _answer(int(ended.value.code or 0), out.getvalue(), err.getvalue())


def _answer(code: int, out: str, err: str) -> Answer:
    assert "Traceback" not in out + err, err
    return Answer(code, out, [line for line in err.splitlines() if not _PROGRESS.fullmatch(line)])


def snapshot(folder: Path) -> dict[str, object]:
    """Return all that a folder is: each thing's kind, mode, owner and content; {} for none."""
    found: dict[str, object] = {}
    if not os.path.lexists(folder):
        return found
    for path in (folder, *sorted(folder.rglob("*"))):
        about = path.lstat()
        content: object = None
        if stat.S_ISREG(about.st_mode):
            content = path.read_bytes()
        elif stat.S_ISLNK(about.st_mode):
            content = path.readlink()
        found[str(path)] = (about.st_mode, about.st_uid, about.st_gid, content)
    return found


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
