"""Whether the machine has just killed something for want of memory."""

from __future__ import annotations

from pathlib import Path


class OutOfMemoryKills:
    """A counter of out-of-memory kills that this process' children may be among.

    The cgroup's own counter where there is one, else the whole machine's: the latter may blame
    memory for a kill that somebody else sent in the same few seconds.
    """

    def __init__(self) -> None:
        self._source = _find_source()
        self._seen = self._read()

    def look(self) -> None:
        """Take the present count as known. Called now and then, so that old kills are not ours."""
        self._seen = self._read()

    def happened(self) -> bool:
        """True where something was killed since the last `look`."""
        return self._read() > self._seen

    def _read(self) -> int:
        if self._source is None:
            return 0
        try:
            text = self._source.read_text()
        except OSError:
            return 0
        for line in text.splitlines():
            name, _, count = line.partition(" ")
            if name == "oom_kill" and count.strip().isdigit():
                return int(count)
        return 0


def _find_source() -> Path | None:
    for candidate in (*_cgroup_files(), Path("/proc/vmstat")):
        try:
            if "oom_kill " in candidate.read_text():
                return candidate
        except OSError:
            continue
    return None


def _cgroup_files() -> list[Path]:
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    files = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        below = path.lstrip("/")
        if not controllers:
            files.append(Path("/sys/fs/cgroup", below, "memory.events"))
        elif "memory" in controllers.split(","):
            files.append(Path("/sys/fs/cgroup/memory", below, "memory.oom_control"))
    return files
