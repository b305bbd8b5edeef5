"""Reading what is there: the last lines of many logs, merged by time."""

from __future__ import annotations

import contextlib
import heapq
import io
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from operator import itemgetter
from typing import BinaryIO

from teamhub.logs.lines import (
    LEVELS,
    TRACE_LINES,
    Line,
    Origin,
    joined,
    may_have_trace,
    parse,
    time_of,
    with_trace,
)
from teamhub.logs.sources import Source
from teamhub.logs.writing import moment

_BLOCK_BYTES = 64 * 1024
LONGEST_BYTES = 1024**2
"""What is longer without an end is taken for a line of its own."""
_RAW_LINES = 10_000
"""As many lines without a time are held until one with a time is found before them."""

Files = Sequence[tuple[BinaryIO, int]]
"""The files of a source, the newest first, and how much of each is to be read."""


@dataclass(frozen=True)
class Wanted:
    """Which lines are wanted. What is empty asks for nothing.

    Attributes:
        processes: names, one of which a line must have; "dispatcher" for what it says within the
            gateway's process.
        kernel: how its kernel's (or notebook server's) id must begin.
        user: whom it must be about.
        request: how the id of its request must begin, ours or the client's.
        level: the lowest that it may have.
        since: the earliest time that it may have, as in a line.
    """

    processes: frozenset[str] = frozenset()
    kernel: str = ""
    user: str = ""
    request: str = ""
    level: str = ""
    since: str = ""

    def matches(self, line: Line) -> bool:
        """Return whether a line is wanted."""
        if self.processes and line.process not in self.processes:
            dispatches = "dispatcher" in self.processes and line.logger == "teamhub.dispatcher"
            if not dispatches:
                return False
        fields = line.fields
        if self.kernel and not _any(fields, ("kernel_id", "server_id"), self.kernel):
            return False
        if self.request and not _any(fields, ("request_id", "client_request_id"), self.request):
            return False
        if self.user and fields.get("user") != self.user:
            return False
        if not self._shows_output and line.process == "kernel":
            return False
        if self.level and _rank(line) < LEVELS.index(self.level):
            return False
        return line.time >= self.since

    def may_be_in(self, source: Source) -> bool:
        """Return False where no line of a source can be wanted."""
        return self.matches_origin(source.origin)

    def matches_origin(self, origin: Origin) -> bool:
        """Return False where no line of a log of this origin can be wanted."""
        names = {origin.process, origin.writes}
        if "gateway" in names:
            names.add("dispatcher")
        if self.processes and not names & self.processes:
            return False
        if not origin.workload:
            return True
        if self.kernel and not _any(origin.fields, ("kernel_id", "server_id"), self.kernel):
            return False
        return not self.user or origin.fields.get("user") == self.user

    def needles(self, origin: Origin) -> Sequence[bytes]:
        """Return what every wanted line from there contains, so that others need not be parsed."""
        found = [self.request] if self.request else []
        if not origin.workload:
            found += [text for text in (self.kernel, self.user) if text]
        return [text.encode() for text in found]

    @property
    def _shows_output(self) -> bool:
        """What kernels print is their users' business: shown where somebody asks for it."""
        return bool(self.kernel or self.user or "kernel" in self.processes)


def last(sources: Iterable[tuple[Source, Files]], wanted: Wanted, number: int) -> list[Line]:
    """Return the last lines that are wanted, oldest first.

    Reads backwards, and so no more of large files than these lines take. Where `wanted.since` is
    given, nothing before that is read.

    Args:
        sources: with their open files, which stay open.
        wanted: which lines.
        number: how many at most.
    """
    streams = [_backwards(files, source.origin, wanted) for source, files in sources]
    merged = heapq.merge(*streams, key=itemgetter(0), reverse=True)
    found = list(islice((line for _, line in merged if wanted.matches(line)), number))
    found.reverse()
    return found


def every(sources: Iterable[tuple[Source, Files]], wanted: Wanted) -> Iterator[Line]:
    """Yield all lines that are wanted, oldest first, however many: none is held."""
    streams = [_forwards(files, source.origin, wanted) for source, files in sources]
    merged = heapq.merge(*streams, key=itemgetter(0))
    return (line for _, line in merged if wanted.matches(line))


def whole_lines(file: BinaryIO) -> int:
    """Return up to where a file consists of whole lines: another is perhaps being written."""
    size = at = file.seek(0, os.SEEK_END)
    while at > max(0, size - LONGEST_BYTES):
        begin = max(0, at - _BLOCK_BYTES)
        file.seek(begin)
        end = file.read(at - begin).rfind(b"\n")
        if end >= 0:
            return begin + end + 1
        at = begin
    return 0 if at == 0 else size


def _backwards(files: Files, origin: Origin, wanted: Wanted) -> Iterator[tuple[str, Line]]:
    """The lines of a source from its end, with keys that never grow.

    A line without a time has that of the last one before it, so it is held until that is found.
    """
    latest = moment(time.time())
    key = "9"
    held: list[bytes] = []

    def release(before: str) -> Iterator[tuple[str, Line]]:
        for raw in held:
            yield key, parse(raw, origin, before, latest=latest)
        held.clear()

    needles = wanted.needles(origin)
    for raw in _all_backwards(files):
        said = time_of(raw)
        if said and not all(needle in raw for needle in needles):
            # Not wanted; but a line after it, without a time, may be.
            said = min(said, latest) if origin.workload else said
            key = min(key, said)
            yield from release(said)
        else:
            line = parse(raw, origin, latest=latest)
            if not line.has_time:
                held.append(raw)
                if len(held) >= _RAW_LINES:
                    yield from release("" if key == "9" else key)
                continue
            key = min(key, line.time)
            if held and may_have_trace(line, origin):
                trace = [parse(each, origin, line.time) for each in held[-TRACE_LINES:]]
                del held[-TRACE_LINES:]
                line = with_trace(line, trace[::-1])
            yield from release(line.time)
            yield key, line
        if key < wanted.since:
            return
    yield from release("")


def _forwards(files: Files, origin: Origin, wanted: Wanted) -> Iterator[tuple[str, Line]]:
    """The lines of a source from its beginning, with keys that never fall."""
    key = ""
    for line in joined(_parsed_forwards(files, origin, wanted), origin):
        key = max(key, line.time)
        yield key, line


def _parsed_forwards(files: Files, origin: Origin, wanted: Wanted) -> Iterator[Line]:
    latest = moment(time.time())
    before = ""
    needles = wanted.needles(origin)
    for raw in _all_forwards(files):
        said = time_of(raw)
        if said and not all(needle in raw for needle in needles):
            before = min(said, latest) if origin.workload else said
            continue
        line = parse(raw, origin, before, latest=latest)
        before = line.time
        yield line


def _all_backwards(files: Files) -> Iterator[bytes]:
    for file, end in files:
        yield from lines_backwards(file, end)


def _all_forwards(files: Files) -> Iterator[bytes]:
    for file, end in reversed(files):
        file.seek(0)
        at = 0
        while at < end and (raw := file.readline(LONGEST_BYTES)):
            at += len(raw)
            yield raw.rstrip(b"\n")


def lines_backwards(file: BinaryIO, end: int) -> Iterator[bytes]:
    """Yield the lines of a file from its end to its beginning, reading blocks as they are needed.

    Args:
        file: seekable; its position is not kept.
        end: where to begin; what follows is not looked at.
    """
    rest = b""
    at, first = end, True
    while at > 0:
        size = min(_BLOCK_BYTES, at)
        at -= size
        file.seek(at, io.SEEK_SET)
        parts = (file.read(size) + rest).split(b"\n")
        rest = parts[0][:LONGEST_BYTES]
        for part in reversed(parts[1:]):
            if part or not first:  # what follows the last line's end is no line
                yield part
            first = False
    if rest or not first:
        yield rest


@contextlib.contextmanager
def opened(sources: Iterable[Source]) -> Iterator[list[tuple[Source, Files]]]:
    """Open all files of sources, and note how much is in them now."""
    with contextlib.ExitStack() as stack:
        found: list[tuple[Source, Files]] = []
        seen: set[int] = set()
        for source in sources:
            files = []
            for file in source.open():
                stack.callback(file.close)
                # One that is moved meanwhile would be met twice.
                inode = os.fstat(file.fileno()).st_ino
                if inode not in seen:
                    seen.add(inode)
                    files.append((file, file.seek(0, os.SEEK_END)))
            found.append((source, files))
        yield found


def _any(fields: Mapping[str, str], names: Iterable[str], beginning: str) -> bool:
    return any(fields.get(name, "").startswith(beginning) for name in names)


def _rank(line: Line) -> int:
    if line.level:
        return LEVELS.index(line.level)
    # What no process of ours has written as a line of its own is mostly how it crashed.
    return LEVELS.index("info" if line.process == "kernel" else "warning")
