"""What a command tells the person who started it: results on stdout, everything else on stderr.

Nothing here ever fails: the terminal may be gone (closed window, ended pipe), and what is being
told about must be finished all the same.
"""

from __future__ import annotations

import contextlib
import sys
import unicodedata
from collections.abc import Callable

from rich.console import Console
from rich.status import Status


def printable(text: str, *, lines: bool = False) -> str:
    """Return text with its control characters as they are written in Python: "\\x1b[31m".

    What people and their kernels call things must not move our cursor, change our colours, or
    turn the order of our words around.

    Args:
        lines: whether ends of lines and tabs stay.
    """
    kept = "\n\t" if lines else ""
    return "".join(
        one
        if one.isprintable() or one in kept
        # Blanks of other scripts, which Python does not count as printable.
        else " "
        if unicodedata.category(one) == "Zs"
        else one.encode("unicode_escape").decode()
        for one in text
    )


class Terminal:
    """Lines, and on a real terminal one line of progress that changes."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
        self._status: Status | None = None
        self._last_progress = ""

    @property
    def changes(self) -> bool:
        """Whether progress is shown in place, so that there may be much of it."""
        return self._console.is_terminal

    def result(self, text: str) -> None:
        """Print lines on stdout, in one piece, and see that they leave this process."""
        self.quiet()
        self._safely(lambda: sys.stdout.write(f"{text}\n"))
        self._safely(sys.stdout.flush)

    def say(self, line: str) -> None:
        """Print a line on stderr."""
        self._safely(lambda: self._console.print(f"teamhub: {printable(line)}"))

    def progress(self, text: str) -> None:
        """Show what is being done: in place on a terminal, else as a line if it is a new one."""
        if text == self._last_progress:
            return
        self._last_progress = text
        if not self._console.is_terminal:
            self.say(text)
        elif self._status is not None:
            status = self._status
            self._safely(lambda: status.update(text))
        else:
            status = self._status = self._console.status(text)
            self._safely(status.start)

    def quiet(self) -> None:
        """Take the line of progress away. A second call does nothing."""
        self._last_progress = ""
        if self._status is not None:
            self._safely(self._status.stop)
            self._status = None

    @staticmethod
    def _safely(write: Callable[[], object]) -> None:
        with contextlib.suppress(OSError, ValueError):
            write()


def let_go_of_streams() -> None:
    """Flush both streams, so that the interpreter finds nothing to complain of at its end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                stream.close()
