"""The log of one kernel or notebook server, also of one that has ended."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing

import click

from teamhub.cli.answers import print_lines
from teamhub.cli.workload_fields import why
from teamhub.deployment import Deployment
from teamhub.engines.logs import WorkloadLogs
from teamhub.logs.following import Follower
from teamhub.logs.lines import Line
from teamhub.logs.reading import Wanted, last, opened
from teamhub.logs.sources import Source
from teamhub.model import Workload
from teamhub.store import Store
from teamhub.supervisor.terminal import Terminal

_LOOK_SECONDS = 0.5
_OWN = frozenset({"kernel", "notebook"})


class Log:
    """The log of one workload. Files are read; the engine that writes them is not disturbed.

    Args:
        deployment: whose it is.
        workload: which one, as it was found.
    """

    def __init__(self, deployment: Deployment, workload: Workload) -> None:
        self._find = _finder(deployment, workload.id)
        self._wanted = Wanted(kernel=workload.id)
        self._workload = workload

    def tail(self, lines: int) -> Sequence[str]:
        """Return its last lines; where its files are gone, what the store has kept of them."""
        with opened(self._find()) as files:
            found = _told(last(files, self._wanted, lines))
        return (found or self._workload.log_tail.splitlines())[-lines:]

    async def follow(self, store: Store, lines: int, *, as_json: bool) -> None:
        """Print its last lines and all that come, until it has ended.

        Args:
            store: open.
            lines: how many are printed of those that there are.
            as_json: a line is a JSON object.
        """
        if self._workload.status.ended:
            self._print(self.tail(lines), as_json=as_json)
        else:
            with closing(Follower(self._find, self._wanted)) as follower:
                self._print(_told(follower.begin(lines)), as_json=as_json)
                while not self._workload.status.ended:
                    await asyncio.sleep(_LOOK_SECONDS)
                    found = await store.workloads.get(self._workload.id)
                    # After that look at the row: once it has ended, nothing more is written.
                    self._print(_told(follower.look()), as_json=as_json)
                    if found is None:
                        break
                    self._workload = found
        if not as_json:
            Terminal().say(f"it has ended ({why(self._workload) or self._workload.status.value})")

    def _print(self, lines: Iterable[str], *, as_json: bool) -> None:
        for line in lines:
            if as_json:
                click.echo(json.dumps({"id": self._workload.id, "line": line}))
            else:
                print_lines(line)


def _finder(deployment: Deployment, workload_id: str) -> Callable[[], Sequence[Source]]:
    logs = WorkloadLogs(deployment.data_dir)
    return lambda: [one for one in logs.find() if one.path.parent.name == workload_id]


def _told(lines: Iterable[Line]) -> list[str]:
    """Return lines as people read them: those of ours say whose they are."""
    told: list[str] = []
    for line in lines:
        first = line.message
        if line.process not in _OWN or line.level not in {"", "info"}:
            first = f"{line.process} {line.level}: {line.message}"
        told += [*first.splitlines(), *line.traceback.splitlines()] or [""]
    return told
