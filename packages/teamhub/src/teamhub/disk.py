"""The room on a disk, and from when on it is too little: the one place that says so."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_MIB, _GIB = 1024**2, 1024**3
_FULL_BYTES = _MIB
_NO_SPACE_BYTES = 100 * _MIB
_LITTLE_SPACE_BYTES = _GIB
LITTLE = 0.05
"""Of what there is, what is little."""

REMEDY = "delete or move what is not needed; `du -sh` in homes/ and logs/ shows who has most"


@dataclass(frozen=True)
class Disk:
    """The file system of a directory, and what others than root may still write there."""

    total_bytes: int
    free_bytes: int

    @classmethod
    def of(cls, directory: Path) -> Disk:
        """Return how it is now. Raises OSError where that cannot be told."""
        found = os.statvfs(directory)
        return cls(found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize)

    @property
    def full(self) -> bool:
        """True where no kernel can be started any more."""
        return self.free_bytes < _FULL_BYTES

    @property
    def nearly_full(self) -> bool:
        """True where it is full at any moment."""
        return self.free_bytes < _NO_SPACE_BYTES

    @property
    def low(self) -> bool:
        """True where somebody should make room."""
        return self.free_bytes < max(_LITTLE_SPACE_BYTES, LITTLE * self.total_bytes)

    def __str__(self) -> str:
        free, unit = _amount(self.free_bytes)
        total, of = _amount(self.total_bytes)
        return f"{free}{'' if unit == of else f' {unit}'} of {total} {of} free"


def _amount(size_bytes: int) -> tuple[str, str]:
    if size_bytes < _GIB:
        return f"{size_bytes / _MIB:.0f}", "MiB"
    return f"{size_bytes / _GIB:.1f}", "GiB"
