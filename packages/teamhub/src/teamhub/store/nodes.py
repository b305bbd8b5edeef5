"""What the active dispatcher last saw of the machines, for those who may not ask an engine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError

from teamhub.model import Node
from teamhub.store.database import Database
from teamhub.store.lease import in_epoch
from teamhub.store.schema import meta

_KEY = "nodes"


class Nodes:
    """One row: all nodes as JSON."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: list[Node] | None = None

    async def note(self, nodes: Sequence[Node], epoch: int) -> None:
        """Note what there is, as the active dispatcher. Wakes nobody.

        Where nothing is new, or another dispatcher has taken over, nothing is written.
        """
        if self._known == list(nodes):
            return
        text = json.dumps([asdict(node) for node in nodes])
        try:
            async with self._database.writing(notify=False) as connection:
                if not await connection.scalar(select(in_epoch(epoch))):
                    return
                await connection.execute(delete(meta).where(meta.c.key == _KEY))
                await connection.execute(insert(meta).values(key=_KEY, value=text))
        except IntegrityError:
            return  # another was quicker
        self._known = list(nodes)

    async def all(self) -> Sequence[Node]:
        """Return what was noted last, none where no dispatcher ever did."""
        async with self._database.reading() as connection:
            found = await connection.scalar(select(meta.c.value).where(meta.c.key == _KEY))
        return [Node(**node) for node in json.loads(found or "[]")]
