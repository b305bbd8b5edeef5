"""Messages for kernels that are not there yet, so that no restart of ours loses them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, func, insert, select
from sqlalchemy.exc import IntegrityError

from teamhub.errors import RefusedError
from teamhub.store.database import Database
from teamhub.store.schema import waiting_messages as table


@dataclass(frozen=True)
class WaitingMessage:
    """One message: header, parent header, metadata, content and buffers, as they came."""

    number: int
    msg_id: str
    channel: str
    frames: Sequence[bytes]


class Waiting:
    """What waits for kernels, in order, each message id once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(
        self,
        kernel_id: str,
        msg_id: str,
        channel: str,
        frames: Sequence[bytes],
        *,
        limit_messages: int,
        limit_bytes: int,
    ) -> None:
        """Keep a message for a kernel. One whose id waits already is not kept twice.

        Raises:
            RefusedError: a bound is reached; nothing was kept.
        """
        packed = pack(frames)
        try:
            async with self._database.writing(notify=False) as connection:
                here = (table.c.kernel_id == kernel_id, table.c.msg_id == msg_id)
                if await connection.scalar(select(table.c.number).where(*here)) is not None:
                    return
                count, size = (
                    await connection.execute(
                        select(
                            func.count(), func.coalesce(func.sum(func.length(table.c.frames)), 0)
                        ).where(table.c.kernel_id == kernel_id)
                    )
                ).one()
                if count >= limit_messages or size + len(packed) > limit_bytes:
                    raise RefusedError(
                        f"{count} messages ({size} bytes) wait for this kernel already; "
                        "wait until it runs"
                    )
                await connection.execute(
                    insert(table).values(
                        kernel_id=kernel_id, msg_id=msg_id, channel=channel, frames=packed
                    )
                )
        except IntegrityError:
            return

    async def of(self, kernel_id: str) -> Sequence[WaitingMessage]:
        """Return what waits for a kernel, oldest first."""
        async with self._database.reading() as connection:
            rows = await connection.execute(
                select(table).where(table.c.kernel_id == kernel_id).order_by(table.c.number)
            )
            return [
                WaitingMessage(row.number, row.msg_id, row.channel, unpack(row.frames))
                for row in rows
            ]

    async def delete(self, kernel_id: str, up_to: int) -> None:
        """Forget what has been delivered: everything up to a number."""
        async with self._database.writing(notify=False) as connection:
            await connection.execute(
                delete(table).where(table.c.kernel_id == kernel_id, table.c.number <= up_to)
            )

    async def delete_all(self, kernel_id: str) -> None:
        """Forget all that waits for a kernel."""
        async with self._database.writing(notify=False) as connection:
            await connection.execute(delete(table).where(table.c.kernel_id == kernel_id))

    async def delete_one(self, number: int) -> None:
        """Forget one message. Of one that is gone: nothing."""
        async with self._database.writing(notify=False) as connection:
            await connection.execute(delete(table).where(table.c.number == number))


def pack(frames: Sequence[bytes]) -> bytes:
    """Return frames as one value: their count, their lengths, then themselves."""
    lengths = struct.pack(f"!{len(frames) + 1}Q", len(frames), *(len(frame) for frame in frames))
    return lengths + b"".join(frames)


def unpack(packed: bytes) -> list[bytes]:
    """Return the frames that `pack` packed."""
    (count,) = struct.unpack_from("!Q", packed)
    offset = 8 * (count + 1)
    frames = []
    for length in struct.unpack_from(f"!{count}Q", packed, 8):
        frames.append(packed[offset : offset + length])
        offset += length
    return frames
