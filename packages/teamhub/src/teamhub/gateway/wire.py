"""The two formats of Jupyter's kernel websocket, to and from a message's parts.

Parts are bytes: header, parent header, metadata, content, then buffers. Both formats are Jupyter
Server's: `v1.kernel.websocket.jupyter.org` (binary, parts as they are) and the default one, where
a message is JSON text, or binary with the JSON as its first buffer where it has buffers.
"""

from __future__ import annotations

import json
import struct
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, TypeGuard

V1 = "v1.kernel.websocket.jupyter.org"

Parts = Sequence[bytes]

MAXIMUM_BUFFERS = 10_000
"""In one message of a client. A gigabyte of offsets would be tens of gigabytes once unpacked, and
the loop that all members share would do nothing else meanwhile."""

MAXIMUM_HEADER_BYTES = 64 * 1024
SESSION_CHARACTERS = 255

_PROTOCOL_VERSION = "5.4"
_PART_NAMES = ("header", "parent_header", "metadata", "content")
_TO_KERNEL = frozenset({"shell", "control", "stdin"})
_NOT_A_MESSAGE = (
    ValueError,
    TypeError,
    AttributeError,
    KeyError,
    IndexError,
    struct.error,
    RecursionError,
)


class WireError(ValueError):
    """What a client sent is not a message; the text says why."""


@dataclass(frozen=True)
class ClientMessage:
    """One message from a client, with what is read of its header."""

    channel: str
    msg_id: str
    msg_type: str
    session: str
    parts: Parts


def from_client(data: str | bytes, *, v1: bool) -> ClientMessage:
    """Return the message in one websocket message.

    Raises:
        WireError: it is not one, or not on a channel towards a kernel.
    """
    try:
        channel, parts = _split_v1(data) if v1 else _split_default(data)
        if len(parts[0]) > MAXIMUM_HEADER_BYTES:
            raise WireError(f"a header of more than {MAXIMUM_HEADER_BYTES} bytes")
        header = json.loads(parts[0])
        msg_id, msg_type, session = header["msg_id"], header["msg_type"], header["session"]
    except _NOT_A_MESSAGE as error:
        raise WireError(f"not a Jupyter message: {error}") from None
    if not (is_text(msg_id) and msg_id and is_text(msg_type) and msg_type and is_text(session)):
        raise WireError("not a Jupyter message: msg_id, msg_type and session should be text")
    if len(session) > SESSION_CHARACTERS:
        raise WireError(f"a session should have at most {SESSION_CHARACTERS} characters")
    if not isinstance(channel, str) or channel not in _TO_KERNEL:
        raise WireError(f"there is no channel {str(channel)[:40]!r} towards a kernel")
    return ClientMessage(channel, msg_id[:255], msg_type, session, parts)


def to_client(channel: str, parts: Parts, *, v1: bool) -> str | bytes:
    """Return a message as one websocket message: binary is bytes, text is str."""
    return _join_v1(channel, parts) if v1 else _join_default(channel, parts)


def reply(
    msg_type: str, content: Mapping[str, Any], parent: bytes, session: str = "teamhub"
) -> Parts:
    """Return the parts of a message of our own, in answer to a header (`b"{}"` for none)."""
    header = {
        "msg_id": str(uuid.uuid4()),
        "msg_type": msg_type,
        "username": "teamhub",
        "session": session,
        "date": datetime.now(UTC).isoformat(),
        "version": _PROTOCOL_VERSION,
    }
    return (json.dumps(header).encode(), parent, b"{}", json.dumps(content).encode())


def is_text(value: object) -> TypeGuard[str]:
    """Return whether a value of JSON is text that can be stored: no NUL, no half a character."""
    if not isinstance(value, str) or "\0" in value:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def parent_session(parts: Parts) -> str:
    """Return the session of the request that a message answers, empty where it answers none."""
    try:
        return str(json.loads(parts[1]).get("session", ""))
    except (ValueError, AttributeError):
        return ""


def msg_type_of(parts: Parts) -> str:
    """Return a message's type, empty where its header has none."""
    try:
        return str(json.loads(parts[0]).get("msg_type", ""))
    except (ValueError, AttributeError):
        return ""


def _split_v1(data: str | bytes) -> tuple[str, Parts]:
    if isinstance(data, str):
        raise WireError("this protocol is binary")
    (count,) = struct.unpack_from("<Q", data)
    if not 6 <= count <= min(len(data) // 8, 6 + MAXIMUM_BUFFERS):
        raise WireError(f"{count} offsets")
    offsets = struct.unpack_from(f"<{count}Q", data, 8)
    if list(offsets) != sorted(offsets) or offsets[0] < 8 * (count + 1) or offsets[-1] > len(data):
        raise WireError("offsets out of order")
    fields = [data[a:b] for a, b in pairwise(offsets)]
    return fields[0].decode(), fields[1:]


def _join_v1(channel: str, parts: Parts) -> bytes:
    fields = [channel.encode(), *parts]
    offset = 8 * (len(fields) + 2)
    offsets = [offset]
    for field in fields:
        offset += len(field)
        offsets.append(offset)
    return b"".join([struct.pack(f"<{len(offsets) + 1}Q", len(offsets), *offsets), *fields])


def _split_default(data: str | bytes) -> tuple[str, Parts]:
    buffers: list[bytes] = []
    if isinstance(data, bytes):
        (count,) = struct.unpack_from("!I", data)
        if not 1 <= count <= min(len(data) // 4, 1 + MAXIMUM_BUFFERS):
            raise WireError(f"{count} buffers")
        offsets = [*struct.unpack_from(f"!{count}I", data, 4), len(data)]
        if offsets != sorted(offsets) or offsets[0] < 4 * (count + 1):
            raise WireError("offsets out of order")
        text, *buffers = (data[a:b] for a, b in pairwise(offsets))
        message = json.loads(text)
    else:
        message = json.loads(data)
    parts = [_packed(message.get(name, {})) for name in _PART_NAMES]
    return message.get("channel", "shell"), [*parts, *buffers]


def _packed(value: object) -> bytes:
    # surrogatepass is wrong on the wire: a lone surrogate stays the escape that JSON has for it.
    return json.dumps(value, ensure_ascii=True).encode()


def _join_default(channel: str, parts: Parts) -> str | bytes:
    # The parts are JSON already: put side by side, not parsed, but for the header's two fields
    # that this format repeats outside of it.
    header = json.loads(parts[0])
    fields = b", ".join(
        b'"%s": %s' % (name.encode(), part)
        for name, part in zip(_PART_NAMES, parts[:4], strict=True)
    )
    rest = {
        "msg_id": header.get("msg_id"),
        "msg_type": header.get("msg_type"),
        "channel": channel,
        "buffers": [],
    }
    text = b"{" + fields + b", " + json.dumps(rest).encode()[1:]
    if len(parts) == 4:
        return text.decode("utf-8", "replace")
    blobs = [text, *parts[4:]]
    offset = 4 * (len(blobs) + 1)
    offsets = []
    for blob in blobs:
        offsets.append(offset)
        offset += len(blob)
    return b"".join([struct.pack(f"!{len(blobs) + 1}I", len(blobs), *offsets), *blobs])
