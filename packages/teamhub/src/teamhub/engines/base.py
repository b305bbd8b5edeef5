"""The engine: the one seam between what should run and what runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence

from teamhub.model import Handle, Launch, Node, Observed


class Engine(ABC):
    """Starts, finds, watches and removes workloads. Keeps nothing that a crash may lose.

    All that an engine needs to find a workload again is on the workload itself (its label) or in
    its handle. Every method may be called concurrently, for different workloads and for the same
    one. Whatever goes wrong is raised as EngineError with a Reason; no other exception leaves.
    """

    name: str
    """The word in the settings."""

    @abstractmethod
    async def open(self) -> None:
        """Connect, create what is needed. A second call does nothing."""

    @abstractmethod
    async def close(self) -> None:
        """Let go of everything and leave workloads running. A second call does nothing."""

    @abstractmethod
    async def nodes(self) -> Sequence[Node]:
        """Return the machines that can take workloads, with their whole capacity."""

    @abstractmethod
    async def start(self, launch: Launch) -> Handle:
        """Start a workload and return its handle at once, before it is ready.

        Idempotent per workload id and attempt: a second call, also by another process after a
        crash, finds the first and returns an equal handle. An older attempt's remains are
        removed first. What has ended is found as well, and not started again. After a refusal
        nothing is left of it.

        Raises:
            EngineError: COMMAND_NOT_FOUND, or ENGINE with the engine's own words, also where a
                newer attempt is there.
        """

    @abstractmethod
    async def inspect(self, handle: Handle) -> Observed:
        """Return what is to be seen of a workload now. What is gone is Phase.GONE, no error.

        Raises EngineError for a handle of another engine, as `logs` and `remove` do.

        A handle whose process id (or container name) now belongs to something else is GONE.
        """

    @abstractmethod
    async def logs(self, handle: Handle, tail: int = 200) -> str:
        """Return the last `tail` lines that it wrote, empty where nothing is known of it.

        Kept after it has ended, until `remove`. Undecodable bytes are replaced.
        """

    @abstractmethod
    async def remove(self, handle: Handle) -> None:
        """End a workload with everything that it started, and its remains.

        It is asked first and has the engine's stop timeout to end; then it is killed. Returns
        when nothing of it runs any more. Removing what is gone succeeds, and removing an older
        attempt leaves the newer one alone.
        """

    @abstractmethod
    async def owned(self) -> Sequence[Observed]:
        """Return everything that carries our deployment's id, running or ended but not removed.

        This is what makes adoption and the removal of orphans possible; each has its handle.
        """

    @abstractmethod
    def events(self) -> AsyncIterator[str]:
        """Yield the id of a workload whenever `inspect` may now say something new.

        Begins with what happens after this call; any number may listen. Never ends by itself.
        Events may be lost or repeated: a sweep stands behind them.
        """
