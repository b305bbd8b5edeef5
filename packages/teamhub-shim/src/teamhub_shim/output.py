"""What the kernel writes to stdout and stderr: passed through, and its end kept."""

from __future__ import annotations

import json
import os
import select
import sys
from collections import deque
from datetime import UTC, datetime

TAIL_LINES = 50
TAIL_BYTES = 16 * 1024
READ_BYTES = 64 * 1024

_STDERR = 2
_ATOMIC_BYTES = 4096

_about: dict[str, str] = {}


class Tail:
    """The last lines of a stream, bounded in number and in bytes."""

    def __init__(self, lines: int = TAIL_LINES, maximum_bytes: int = TAIL_BYTES) -> None:
        self._lines: deque[bytes] = deque(maxlen=lines)
        self._maximum_bytes = maximum_bytes

    def add(self, line: bytes) -> None:
        """Keep a line (without its end)."""
        self._lines.append(line[: self._maximum_bytes])

    def text(self) -> str:
        """Return the kept lines; undecodable bytes are replaced."""
        kept: list[bytes] = []
        left = self._maximum_bytes
        for line in reversed(self._lines):
            left -= len(line) + 1
            if left < 0 and kept:
                break
            kept.append(line)
        return b"\n".join(reversed(kept)).decode("utf-8", "replace")


class Output:
    """The read end of the pipe that is a kernel's stdout and stderr."""

    def __init__(self, descriptor: int, tail: Tail) -> None:
        self.descriptor = descriptor
        self._tail = tail
        self._partial = b""
        os.set_blocking(descriptor, False)

    def read(self) -> bool:
        """Take what is there, at most READ_BYTES. False at the end of the stream."""
        try:
            data = os.read(self.descriptor, READ_BYTES)
        except BlockingIOError:
            return True
        if not data:
            return False
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            self._line(line)
        if len(self._partial) > TAIL_BYTES:
            self._flush()
        return True

    def close(self) -> None:
        """Take what is left without waiting for more, and close. A second call does nothing."""
        if self.descriptor < 0:
            return
        for _ in range(TAIL_BYTES):
            try:
                data = os.read(self.descriptor, READ_BYTES)
            except BlockingIOError:
                break
            if not data:
                break
            *lines, self._partial = (self._partial + data).split(b"\n")
            for line in lines:
                self._line(line)
        self._flush()
        os.close(self.descriptor)
        self.descriptor = -1

    def _flush(self) -> None:
        if self._partial:
            self._line(self._partial)
            self._partial = b""

    def _line(self, line: bytes) -> None:
        self._tail.add(line)
        write_line(line)


def write_line(line: bytes) -> None:
    """Write a line to the shim's own stderr, or drop the rest of it where nobody reads there.

    The message path must never wait for whoever collects the log.
    """
    data = line + b"\n"
    for start in range(0, len(data), _ATOMIC_BYTES):
        try:
            # poll(), as select() refuses descriptors above 1023.
            poller = select.poll()
            poller.register(_STDERR, select.POLLOUT)
            if not any(event & select.POLLOUT for _, event in poller.poll(0)):
                return
            # A pipe that is writable takes this much without blocking.
            os.write(_STDERR, data[start : start + _ATOMIC_BYTES])
        except OSError:
            return


def log_about(**fields: str) -> None:
    """Say what all further lines of `log` are about, such as kernel_id."""
    _about.update(fields)


def log(text: str, level: str = "info", **fields: str) -> None:
    """Write a line of the shim's own to its stderr: one JSON object, as all of teamhub's have it.

    Args:
        text: one line or more.
        level: "debug", "info", "warning" or "error".
        fields: such as request_id; empty ones are left out.
    """
    now = datetime.now(UTC)
    value = {
        "time": now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{now.microsecond // 1000:03d}Z",
        "level": level,
        "process": "shim",
        "logger": "teamhub_shim",
        "message": text,
        **{name: field for name, field in {**_about, **fields}.items() if field},
    }
    write_line(json.dumps(value).encode())


def write_last_line(text: str) -> None:
    """Write the shim's last line, however long the reader takes for it."""
    try:
        sys.stderr.flush()
        data = text.encode() + b"\n"
        while data:
            data = data[os.write(_STDERR, data) :]
    except OSError:
        return
