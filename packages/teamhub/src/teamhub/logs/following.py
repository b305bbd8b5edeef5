"""Following logs as they are written: every line once, whatever is rotated, begun or deleted.

Files are looked at several times a second. That costs a stat for each, works on every file
system, and takes none of the watches of which a machine has only so many.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from teamhub.logs.lines import Line, joined, parse
from teamhub.logs.reading import LONGEST_BYTES, Files, Wanted, last, whole_lines
from teamhub.logs.sources import Source
from teamhub.logs.writing import moment

_READ_BYTES = 1024**2
_LEAVE_SECONDS = 3.0
"""How long a file that has a successor is still read: its writer moves on with its next line."""
_KNOWN_BYTES = 256
"""By as many of the last bytes read is a place found again in the copy of a file that was cut."""
_COPY_BYTES = 4 * 1024**2
"""How much of the end of that copy is searched."""


class Follower:
    """Gives lines as they come. Belongs to one thread; close it at the end.

    Args:
        find: returns the sources that there are now.
        wanted: which lines.
    """

    def __init__(self, find: Callable[[], Sequence[Source]], wanted: Wanted) -> None:
        self._find = find
        self._wanted = wanted
        self._streams: dict[Path, _Stream] = {}

    def begin(self, number: int) -> list[Line]:
        """Return the last lines that are there now; `look` goes on exactly after them."""
        found: list[tuple[Source, Files]] = []
        for source in self._sources():
            files = source.open()
            # The rest of a line that is being written comes with the line.
            ends: Files = [
                (file, whole_lines(file) if file is files[0] else file.seek(0, os.SEEK_END))
                for file in files
            ]
            found.append((source, ends))
        lines = last(found, self._wanted, number)
        for source, ends in found:
            if source.ended:
                for file, _ in ends:
                    file.close()
                continue
            stream = self._streams[source.path] = _Stream(source)
            for file, _ in ends[1:]:
                file.close()
            for file, end in ends[:1]:
                stream.begin_at(file, end)
        return lines

    def look(self) -> list[Line]:
        """Return the lines that have come since the last call, in the order of their times."""
        sources = {source.path: source for source in self._sources()}
        for path, source in sources.items():
            if path not in self._streams and not source.ended:
                self._streams[path] = _Stream(source)
        now = time.monotonic()
        lines = [
            line
            for stream in self._streams.values()
            for line in stream.look(now)
            if self._wanted.matches(line)
        ]
        # What has just been read of those that were deleted or moved away was the last.
        for path in self._streams.keys() - sources.keys():
            lines += [line for line in self._streams.pop(path).end() if self._wanted.matches(line)]
        return sorted(lines, key=lambda line: line.time)

    def close(self) -> None:
        """Let go of all files. A second call does nothing."""
        for stream in self._streams.values():
            stream.end()
        self._streams.clear()

    def _sources(self) -> list[Source]:
        return [source for source in self._find() if self._wanted.may_be_in(source)]


class _Followed:
    """One open file, and how far it has been read."""

    def __init__(self, file: BinaryIO, at: int) -> None:
        self.file = file
        self.inode = _inode(os.fstat(file.fileno()))
        self.left_at: float | None = None
        """When it was seen to have a successor."""
        self.misses = 0
        """How many times what came before a cut was looked for in vain."""
        self._at = at
        self._rest = b""
        self._cut = False
        begin = max(0, at - _KNOWN_BYTES)
        file.seek(begin)
        self._known = file.read(at - begin)

    @property
    def is_cut(self) -> bool:
        """Whether it has become shorter than what was read of it, since it was begun."""
        self._cut = self._cut or self._size < self._at
        return self._cut

    @property
    def is_deleted(self) -> bool:
        """Whether no path leads to it any more."""
        return os.fstat(self.file.fileno()).st_nlink == 0

    def read(self) -> list[bytes]:
        """Return the whole lines that have come since the last call."""
        lines: list[bytes] = []
        end = self._size
        while self._at < end:
            self.file.seek(self._at)
            data = self.file.read(min(_READ_BYTES, end - self._at))
            if not data:
                break
            self._at += len(data)
            lines += self._take(data)
        return lines

    def from_copy(self, path: Path) -> list[bytes] | None:
        """Return what was not read before the file was cut; None where its copy is not there."""
        try:
            with path.open("rb") as copy:
                copy.seek(max(0, copy.seek(0, os.SEEK_END) - _COPY_BYTES))
                data = copy.read()
        except OSError:
            return None
        found = data.rfind(self._known) if self._known else -1
        return None if found < 0 else self._take(data[found + len(self._known) :])

    def begin_anew(self) -> list[bytes]:
        """Read from the beginning from now on; return what was left without an end."""
        left, self._rest = self._rest, b""
        self._at = self.misses = 0
        self._known = b""
        self._cut = False
        return [left] if left else []

    def close(self) -> list[bytes]:
        """Close it; return what was left without an end."""
        self.file.close()
        return [self._rest] if self._rest else []

    @property
    def _size(self) -> int:
        return os.fstat(self.file.fileno()).st_size

    def _take(self, data: bytes) -> list[bytes]:
        self._known = (self._known + data)[-_KNOWN_BYTES:]
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LONGEST_BYTES:
            lines.append(self._rest)
            self._rest = b""
        return lines


class _Stream:
    """One source: the file at its path, and those before it that may still be written to."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._files: list[_Followed] = []
        self._is_begun = False
        self._before = ""

    def begin_at(self, file: BinaryIO, at: int) -> None:
        """Follow a file from a place on."""
        self._files.append(_Followed(file, at))
        self._is_begun = True

    def look(self, now: float) -> Iterator[Line]:
        """Yield what has come."""
        self._find_newer(now)
        present = moment(time.time())
        for followed in list(self._files):
            over = followed.is_deleted or (
                followed.left_at is not None and now - followed.left_at > _LEAVE_SECONDS
            )
            lines = self._read(followed)
            if over:
                lines += followed.close()
                self._files.remove(followed)
            # A trace comes in one piece; one that does not is shown in two.
            parsed = [self._line(raw, present) for raw in lines]
            yield from joined(parsed, self.source.origin)

    def end(self) -> list[Line]:
        """Let go of all files; return what was left in them without an end."""
        left = [raw for followed in self._files for raw in followed.close()]
        self._files.clear()
        return [self._line(raw, moment(time.time())) for raw in left]

    def _read(self, followed: _Followed) -> list[bytes]:
        if not followed.is_cut:
            return followed.read()
        lines = followed.from_copy(self.source.older(1))
        if lines is None and not followed.misses:
            followed.misses += 1  # the copy gets its name just after the cut
            return []
        return [*(lines or ()), *followed.begin_anew(), *followed.read()]

    def _line(self, raw: bytes, present: str) -> Line:
        # What has come just now without a time was written about now.
        line = parse(raw, self.source.origin, max(self._before, present), latest=present)
        if line.has_time:
            self._before = line.time
        return line

    def _find_newer(self, now: float) -> None:
        """Open what has been put at the path, and what was there since we looked."""
        newest = self._files[-1].inode if self._files else None
        try:
            if _inode(self.source.path.stat()) == newest:
                return
        except OSError:
            if self._is_begun:
                return  # renamed or deleted, and there is no other yet
        known = {followed.inode for followed in self._files}
        newer: list[_Followed] = []
        met = False
        for file in self.source.open():
            met = met or _inode(os.fstat(file.fileno())) in known
            if met or (newest is None and newer and self._is_begun):
                file.close()  # it and what is older have been read
            else:
                newer.append(_Followed(file, 0))
        self._files += reversed(newer)
        self._is_begun = self._is_begun or bool(newer)
        for followed in self._files[:-1]:
            followed.left_at = followed.left_at or now


def _inode(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino
