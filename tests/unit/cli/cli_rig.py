"""What the tests of the command line speak in."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Answer:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Hub:
    """What a hub was asked to change (path, body, authorization), and what it answers.

    Attributes:
        asked: each POST; of another method, that word stands before the path.
        answers: by path for a POST, by method and path for others: status and JSON. Without one,
            a POST answers 201, a DELETE 204, and a GET 404.
    """

    asked: list[tuple[str, Any, str]] = field(default_factory=list)
    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)

    def knows(self, *users: dict[str, Any], groups: tuple[dict[str, Any], ...] = ()) -> None:
        """Have it list these users and groups, in one page each."""
        for path, items in (("users", users), ("groups", groups)):
            page = {"items": list(items), "_pagination": {"next": None}}
            self.answers[f"GET /hub/api/{path}?offset=0&limit=200"] = (200, page)
        for user in users:
            self.answers[f"GET /hub/api/users/{user['name']}"] = (200, user)

    def has_tokens(self, user: str, *tokens: dict[str, Any]) -> None:
        """Have it list these tokens of a user."""
        path = f"GET /hub/api/users/{user}/tokens"
        self.answers[path] = (200, {"api_tokens": list(tokens)})


_TERMINAL_SECONDS = 60

_AS_A_SHELL_DOES = (
    "import os, sys; os.login_tty(os.dup(0)); "
    "os.execv(sys.executable, [sys.executable, '-m', 'teamhub.cli', *sys.argv[1:]])"
)


def on_a_terminal(answers: Sequence[tuple[str, str]], *arguments: str) -> tuple[int, str]:
    """Run `teamhub` on a terminal of its own, of 24 lines and 80 columns.

    Args:
        answers: what is typed once a text has been shown, one after the other.
        arguments: of the command.

    Returns:
        Its exit status, and all that was shown.
    """
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        (sys.executable, "-c", _AS_A_SHELL_DOES, *arguments),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "LINES": "24", "COLUMNS": "80"},
    )
    os.close(theirs)
    shown, seen, left = "", 0, list(answers)
    deadline = time.monotonic() + _TERMINAL_SECONDS
    while True:
        if not select.select([ours], [], [], max(0.0, deadline - time.monotonic()))[0]:
            process.kill()
            raise AssertionError(f"not within {_TERMINAL_SECONDS} s; shown: {shown!r}")
        try:
            piece = os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        shown += piece.decode(errors="replace")
        while left and left[0][0] in shown[seen:]:
            text, typed = left.pop(0)
            seen += shown[seen:].index(text) + len(text)
            os.write(ours, typed.encode())
    os.close(ours)
    return process.wait(60), shown.replace("\r\n", "\n")
