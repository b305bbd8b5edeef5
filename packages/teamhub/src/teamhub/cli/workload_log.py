"""What a kernel or notebook server has written, from where it is: the engine, or the store."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime

import click

from teamhub import engines
from teamhub.cli.answers import print_lines
from teamhub.deployment import Deployment
from teamhub.model import Workload
from teamhub.store import Store
from teamhub.supervisor.terminal import Terminal

_LOOK_SECONDS = 0.5
_ALL_LINES = 10_000_000
_KNOWN_CHARACTERS = 4096
"""So much of what was printed is looked for in a log that has been cut since."""


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
                return text
            # It may have ended just now, with its log in the store.
            self._workload = await self._store.workloads.get(self._workload.id) or self._workload
        kept = self._workload.log_tail.splitlines(keepends=True)
        return "".join(kept[-lines:])

    async def follow(self, lines: int, *, as_json: bool) -> None:
        """Print its last lines and all that come, until it has ended.

        Raises:
            EngineError: it cannot be read.
        """
        seen = ""
        begun = False
        while True:
            workload = await self._store.workloads.get(self._workload.id)
            ended = workload is None or workload.status.ended
            self._workload = workload or self._workload
            text = await self.tail(_ALL_LINES)
            whole = text if ended else text[: text.rfind("\n") + 1]
            if not begun:
                new = "".join(whole.splitlines(keepends=True)[-lines:])
            else:
                new = _after(seen, whole, cut=not ended)
            begun = begun or bool(whole)
            self._print(new, as_json=as_json)
            if ended:
                self._tell_end(as_json=as_json)
                return
            seen = whole or seen
            await asyncio.sleep(_LOOK_SECONDS)

    def _print(self, text: str, *, as_json: bool) -> None:
        if not as_json:
            print_lines(text)
            return
        for line in text.splitlines():
            click.echo(json.dumps({"id": self._workload.id, "line": line}))

    def _tell_end(self, *, as_json: bool) -> None:
        one = self._workload
        if not as_json:
            why = ": ".join(filter(None, (one.reason.value if one.reason else "", one.detail)))
            at = f"{datetime.now(UTC).astimezone():%H:%M:%S}"
            Terminal().say(f"{at}: it has ended ({why or one.status.value})")


def _after(seen: str, text: str, *, cut: bool) -> str:
    """Return what of a text comes after what was seen of it.

    Args:
        cut: whether a text in which nothing that was seen is to be found is all new: a log that
            was cut. Else it is the record of what was seen.
    """
    if text.startswith(seen):
        return text[len(seen) :]
    known = seen[-_KNOWN_CHARACTERS:]
    at = text.rfind(known)
    if at >= 0:
        return text[at + len(known) :]
    # The store keeps the last lines: so some of them are what was seen last.
    for start in range(len(known)):
        part = known[start:]
        if text.startswith(part):
            return text[len(part) :]
    return text if cut else ""
