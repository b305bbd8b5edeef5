"""The logs of workloads: of those that there are, and of the last that there were."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from teamhub.engines.directories import Directory, valid_name
from teamhub.logs.sources import Source

KEPT_ENDED = 200
KEPT_ENDED_BYTES = 256 * 1024**2
"""How many logs of ended workloads are kept, and how large they are together."""


class WorkloadLogs:
    """Finds the logs of workloads, also of ended ones, and where no engine runs.

    Args:
        data_dir: the deployment's.
    """

    def __init__(self, data_dir: Path) -> None:
        self._workloads = data_dir / "workloads"
        self._ended = ended_logs(data_dir)
        self._known: dict[Path, Source] = {}

    def find(self) -> Sequence[Source]:
        """Return the logs that there are now; none where the directories are not there."""
        found: dict[Path, Source] = {}
        for root in (self._workloads, self._ended):
            for name in _names(root):
                directory = Directory(root / name, root / name)
                known = self._known.get(directory.path)
                if known is not None:
                    found[directory.path] = known
                elif directory.log.exists():
                    found[directory.path] = Source(
                        directory.log, directory.origin(), ended=root is self._ended
                    )
        self._known = found
        return list(found.values())


def ended_logs(data_dir: Path) -> Path:
    """Return where the logs of ended workloads are kept, in a directory for each."""
    return data_dir / "workloads" / ".ended"


def forget_logs(ended: Path, *, keep: int = KEPT_ENDED, keep_bytes: int = KEPT_ENDED_BYTES) -> None:
    """Delete the oldest logs of ended workloads, of which there are too many. Never raises.

    Args:
        ended: where they are.
        keep: how many stay at most.
        keep_bytes: how large all that stay are at most.
    """
    found: list[tuple[float, int, Path]] = []
    for name in _names(ended):
        try:
            stats = [each.stat() for each in os.scandir(ended / name)]
            size_bytes = sum(each.st_size for each in stats)
            found.append(((ended / name).stat().st_mtime, size_bytes, ended / name))
        except OSError:
            continue
    total_bytes = 0
    for number, (_, size_bytes, path) in enumerate(sorted(found, reverse=True), 1):
        total_bytes += size_bytes
        if number > keep or total_bytes > keep_bytes:
            shutil.rmtree(path, ignore_errors=True)


def _names(root: Path) -> Sequence[str]:
    try:
        return sorted(each.name for each in os.scandir(root) if valid_name(each.name))
    except OSError:
        return ()
