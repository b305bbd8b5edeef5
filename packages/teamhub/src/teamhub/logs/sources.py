"""Where logs are: one source for each process of ours and for each workload."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from teamhub.logs.lines import Origin

_NAME = re.compile(r"([a-z][a-z_-]*)\.log(?:\.\d+)?")


@dataclass(frozen=True)
class Source:
    """One log: the file at `path`, and its older ones beside it (`path` with .1, .2, …)."""

    path: Path
    origin: Origin
    ended: bool = False
    """Nothing more comes to it."""

    def older(self, number: int) -> Path:
        """Return where the older file of this number is, from 1, the newest of them."""
        return self.path.with_name(f"{self.path.name}.{number}")

    def open(self) -> Sequence[BinaryIO]:
        """Return all its files, open, the newest first. None twice, none left out.

        It may be rotated meanwhile: a file that is met again under its next name is known by its
        inode, and the newest is opened first, so only what is written afterwards is not in it.
        """
        files: list[BinaryIO] = []
        seen: set[tuple[int, int]] = set()
        for path in self._paths():
            try:
                file = path.open("rb")
            except OSError:
                continue
            found = os.fstat(file.fileno())
            key = (found.st_dev, found.st_ino)
            if key in seen:
                file.close()
                continue
            seen.add(key)
            files.append(file)
        return files

    def _paths(self) -> Iterable[Path]:
        yield self.path
        number, missing = 1, 0
        # While it is rotated, one of them is between two names.
        while missing < 2:
            path = self.older(number)
            missing = 0 if path.exists() else missing + 1
            yield path
            number += 1


def of_processes(logs_dir: Path) -> Sequence[Source]:
    """Return the logs of the processes of a deployment. None where the directory is not there."""
    try:
        matches = [_NAME.fullmatch(entry.name) for entry in os.scandir(logs_dir)]
    except OSError:
        return ()
    # One that has just been put aside has no successor until its process says something.
    names = sorted({match[1] for match in matches if match})
    return [Source(logs_dir / f"{name}.log", Origin(name)) for name in names]
