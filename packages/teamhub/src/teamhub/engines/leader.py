"""The process that stands for a workload of engine `process`: what its handle says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from teamhub.engines.processes import Process
from teamhub.errors import EngineError
from teamhub.model import Handle
from teamhub.reasons import Reason

VERSION = 1


@dataclass(frozen=True)
class Leader:
    """The first process of one attempt of a workload; `started` as in `processes.Process`."""

    workload_id: str
    attempt: int
    pid: int
    started: str

    @property
    def process(self) -> tuple[int, str]:
        """What tells this process from every other."""
        return self.pid, self.started

    @property
    def handle(self) -> Handle:
        """The handle from which `of` makes an equal leader."""
        return Handle("process", VERSION, asdict(self))

    @classmethod
    def of(cls, handle: Handle) -> Leader:
        """Return what a handle says. Raises EngineError for one that is not of this engine."""
        if (handle.engine, handle.version) == ("process", VERSION):
            try:
                return cls(**handle.data)
            except TypeError:
                pass
        detail = f"a handle of engine {handle.engine}, version {handle.version}, is not mine"
        raise EngineError(Reason.ENGINE, detail)

    @classmethod
    def among(cls, workload_id: str, attempt: int, marked: Sequence[Process]) -> Leader:
        """Return the oldest of some processes that leads a session, or the oldest of all."""
        first = min(marked, key=lambda p: (not p.leads_session, p.age_key, p.pid))
        return cls(workload_id, attempt, first.pid, first.started)


def attempt_of(marker: str) -> int:
    """Return the attempt that a marker names, 0 where it names none."""
    last = marker.rpartition("/")[2]
    return int(last) if last.isdecimal() else 0
