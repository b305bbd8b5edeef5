"""What a kernel or notebook server has written, from where it is: the engine, or the store."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime

import click
from teamhub_shim.protocol import EXIT_MARKER

from teamhub import engines
from teamhub.cli.answers import print_lines
from teamhub.deployment import Deployment
from teamhub.model import Workload
from teamhub.store import Store
from teamhub.supervisor.terminal import Terminal

_LOOK_SECONDS = 0.5
_ALL_LINES = 10_000_000
_SHIM = re.compile(r'teamhub-shim|\{"time": .*"process": "shim"')
"""How the lines begin that are not the kernel's own."""


class Log:
    """The log of one workload.

    Args:
        deployment: whose it is.
        store: open.
        workload: which one, as it was found.
    """

    def __init__(self, deployment: Deployment, store: Store, workload: Workload) -> None:
        self._deployment = deployment
        self._store = store
        self._workload = workload

    async def tail(self, lines: int) -> str:
        """Return its last lines; of one that has ended, what the store has kept of them.

        Raises:
            EngineError: it cannot be read.
        """
        handle = self._workload.handle
        if handle is not None and not self._workload.status.ended:
            deployment_id = await self._store.deployment_id()
            text = await engines.read_log(self._deployment.config, deployment_id, handle, lines)
            if text:
                # The shim's last word is for the dispatcher, which is about to read it.
                whole = text.splitlines(keepends=True)
                return "".join(line for line in whole if not line.startswith(EXIT_MARKER))
            # It may have ended just now, with its log in the store.
            self._workload = await self._store.workloads.get(self._workload.id) or self._workload
        kept = self._workload.log_tail.splitlines(keepends=True)
        return "".join(kept[-lines:])

    async def follow(self, lines: int, *, as_json: bool) -> None:
        """Print its last lines and all that come, until it has ended.

        Raises:
            EngineError: it cannot be read.
        """
        seen: list[str] = []
        text = await self.tail(_ALL_LINES)
        while True:
            # Of what still runs, the last line may be there in part.
            here = (text if self._ended else text[: text.rfind("\n") + 1]).splitlines()
            new = _after(seen, here, ended=self._ended) if seen else here[-lines:]
            self._print(new, as_json=as_json)
            if self._ended:
                self._tell_end(as_json=as_json)
                return
            seen = here or seen
            await asyncio.sleep(_LOOK_SECONDS)
            self._workload = await self._store.workloads.get(self._workload.id) or self._workload
            text = await self.tail(_ALL_LINES)

    @property
    def _ended(self) -> bool:
        return self._workload.status.ended

    def _print(self, new: Sequence[str], *, as_json: bool) -> None:
        for line in new:
            if as_json:
                click.echo(json.dumps({"id": self._workload.id, "line": line}))
            else:
                print_lines(line)

    def _tell_end(self, *, as_json: bool) -> None:
        one = self._workload
        if not as_json:
            why = ": ".join(filter(None, (one.reason.value if one.reason else "", one.detail)))
            at = f"{datetime.now(UTC).astimezone():%H:%M:%S}"
            Terminal().say(f"{at}: it has ended ({why or one.status.value})")


def _is_shims(line: str) -> bool:
    return _SHIM.match(line) is not None


def _after(seen: Sequence[str], here: Sequence[str], *, ended: bool) -> Sequence[str]:
    """Return the lines that come after those that were seen.

    Args:
        seen: the lines of the log when it was looked at last.
        here: those of now.
        ended: whether `here` is what the store has kept: most often a kernel's own lines alone.
    """
    if ended:
        seen, here = ([one for one in each if not _is_shims(one)] for each in (seen, here))
    elif list(here[: len(seen)]) == list(seen):
        return here[len(seen) :]
    # The log was cut: its first lines are among the last that were seen, or all is new.
    for start in range(max(0, len(seen) - len(here)), len(seen)):
        if list(seen[start:]) == list(here[: len(seen) - start]):
            return here[len(seen) - start :]
    return here
