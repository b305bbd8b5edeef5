"""The websocket's two formats, against Jupyter Server's own serializers, and against noise."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jupyter_client.jsonutil import json_default
from jupyter_server.services.kernels.connection.base import (
    deserialize_binary_message,
    deserialize_msg_from_ws_v1,
    serialize_binary_message,
    serialize_msg_to_ws_v1,
)
from teamhub.gateway import wire

NAMES = ("header", "parent_header", "metadata", "content")

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=6,
)
tables = st.dictionaries(st.text(max_size=8), values, max_size=4)
buffers = st.lists(st.binary(max_size=40), max_size=3)
words = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=20)
headers = st.builds(
    lambda more, msg_id, msg_type, session: {
        **more,
        "msg_id": msg_id,
        "msg_type": msg_type,
        "session": session,
    },
    tables.filter(lambda table: "date" not in table),
    words,
    words,
    words,
)
messages = st.builds(
    lambda header, parent, metadata, content, blobs: {
        "header": header,
        "parent_header": parent,
        "metadata": metadata,
        "content": content,
        "buffers": blobs,
    },
    headers,
    tables.filter(lambda table: "date" not in table),
    tables,
    tables,
    buffers,
)
to_kernel = st.sampled_from(["shell", "control", "stdin"])
from_kernel = st.sampled_from(["shell", "control", "stdin", "iopub"])


def parts_of(message: dict[str, Any]) -> list[bytes]:
    return [*(json.dumps(message[name]).encode() for name in NAMES), *message["buffers"]]


def agrees(found: wire.ClientMessage, message: dict[str, Any], channel: str) -> None:
    header = message["header"]
    assert (found.channel, found.msg_id, found.msg_type, found.session) == (
        channel,
        header["msg_id"],
        header["msg_type"],
        header["session"],
    )
    assert [json.loads(part) for part in found.parts[:4]] == [message[name] for name in NAMES]
    assert [bytes(part) for part in found.parts[4:]] == message["buffers"]


# From a client that speaks as Jupyter Server does


@given(messages, to_kernel)
def test_v1_from_a_client(message: dict[str, Any], channel: str) -> None:
    data = serialize_msg_to_ws_v1(parts_of(message), channel)
    found = wire.from_client(data, v1=True)
    agrees(found, message, channel)
    assert list(found.parts) == parts_of(message), "as they came, byte by byte"


@given(messages, to_kernel)
def test_default_from_a_client(message: dict[str, Any], channel: str) -> None:
    whole = {**message, "channel": channel}
    binary = serialize_binary_message(whole)
    agrees(wire.from_client(binary, v1=False), message, channel)
    whole["buffers"] = []
    text = json.dumps(whole, default=json_default)
    agrees(wire.from_client(text, v1=False), {**message, "buffers": []}, channel)


# To such a client


@given(messages, from_kernel)
def test_v1_to_a_client(message: dict[str, Any], channel: str) -> None:
    parts = parts_of(message)
    data = wire.to_client(channel, parts, v1=True)
    assert data == serialize_msg_to_ws_v1(parts, channel)
    assert deserialize_msg_from_ws_v1(data) == (channel, parts)


@given(messages, from_kernel)
def test_default_to_a_client(message: dict[str, Any], channel: str) -> None:
    data = wire.to_client(channel, parts_of(message), v1=False)
    if message["buffers"]:
        assert isinstance(data, bytes)
        found = deserialize_binary_message(data)
    else:
        assert isinstance(data, str)
        found = json.loads(data)
    assert found["channel"] == channel
    assert found["msg_id"] == message["header"]["msg_id"]
    assert found["msg_type"] == message["header"]["msg_type"]
    assert [found[name] for name in NAMES] == [message[name] for name in NAMES]
    assert found["buffers"] == message["buffers"]


@given(messages, to_kernel, st.booleans())
def test_round_trips(message: dict[str, Any], channel: str, v1: bool) -> None:
    data = wire.to_client(channel, parts_of(message), v1=v1)
    agrees(wire.from_client(data, v1=v1), message, channel)


def test_what_is_not_utf8_from_a_kernel_still_arrives() -> None:
    parts = [b'{"msg_id": "1", "msg_type": "stream"}', b"{}", b"{}", b'{"text": "\xff"}']
    data = wire.to_client("iopub", parts, v1=False)
    assert json.loads(data)["content"] == {"text": "\N{REPLACEMENT CHARACTER}"}


def test_a_lone_surrogate_stays_the_escape_that_it_was() -> None:
    message = {
        "header": {"msg_id": "1", "msg_type": "x", "session": "s"},
        "content": {"a": "\ud800"},
    }
    found = wire.from_client(json.dumps(message), v1=False)
    assert found.parts[3] == b'{"a": "\\ud800"}'


# Noise


def only_wire_errors(data: str | bytes, v1: bool) -> None:
    try:
        found = wire.from_client(data, v1=v1)
    except wire.WireError as error:
        assert str(error)
        return
    assert found.channel in {"shell", "control", "stdin"}
    assert 0 < len(found.msg_id) <= 255
    found.msg_id.encode()
    found.session.encode()
    assert len(found.parts) >= 4
    assert all(isinstance(part, bytes) for part in found.parts)


def v1_with(offsets: list[int], rest: bytes) -> bytes:
    return struct.pack(f"<{len(offsets) + 1}Q", len(offsets), *offsets) + rest


@given(st.binary(max_size=200) | st.text(max_size=80), st.booleans())
@example("[]", False)
@example("null", False)
@example("1", False)
@example("[" * 100_000, False)
@example('{"header": {"a":' * 50_000, False)
@example(b"", True)
@example(b"\xff" * 64, True)
@example(b"\xff" * 64, False)
@example(b"\x00\x00\x00\x01\x00\x00\x00\x08[]", False)
@example(v1_with([56, 56, 56, 56, 56, 56], b""), True)
@example(v1_with([2**63] * 6, b""), True)
def test_noise(data: str | bytes, v1: bool) -> None:
    only_wire_errors(data, v1)


@given(st.lists(st.integers(0, 300), max_size=9), st.binary(max_size=200))
def test_noise_with_offsets(offsets: list[int], rest: bytes) -> None:
    only_wire_errors(v1_with(offsets, rest), True)
    packed = struct.pack(f"!{len(offsets) + 1}I", len(offsets), *offsets)
    only_wire_errors(packed + rest, False)


odd = values | st.sampled_from(["shell", "\ud800", "a\0b", "", [], {}])


@given(st.fixed_dictionaries({}, optional=dict.fromkeys((*NAMES, "channel"), odd)))
def test_noise_in_the_right_places(message: dict[str, Any]) -> None:
    only_wire_errors(json.dumps(message), False)


@given(
    st.fixed_dictionaries({}, optional=dict.fromkeys(("msg_id", "msg_type", "session"), odd)), odd
)
@example({"msg_id": "\ud800", "msg_type": "x", "session": "s"}, "shell")
@example({"msg_id": "1", "msg_type": "x", "session": "\ud800"}, "shell")
@example({"msg_id": "1", "msg_type": "x", "session": "s"}, [])
def test_noise_in_the_header(header: dict[str, Any], channel: Any) -> None:
    only_wire_errors(json.dumps({"header": header, "channel": channel}), False)
    parts = [json.dumps(header).encode(), b"{}", b"{}", b"{}"]
    only_wire_errors(serialize_msg_to_ws_v1(parts, "shell"), True)


@given(messages, st.data())
def test_a_message_cut_or_changed(message: dict[str, Any], data: st.DataObject) -> None:
    whole = bytearray(serialize_msg_to_ws_v1(parts_of(message), "shell"))
    only_wire_errors(bytes(whole[: data.draw(st.integers(0, len(whole)))]), True)
    whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    only_wire_errors(bytes(whole), True)


@pytest.mark.parametrize("channel", ["iopub", "hb", "", "SHELL"])
def test_channels_that_do_not_lead_to_a_kernel(channel: str) -> None:
    header = {"msg_id": "1", "msg_type": "x", "session": "s"}
    with pytest.raises(wire.WireError, match="no channel"):
        wire.from_client(json.dumps({"header": header, "channel": channel}), v1=False)


# Answers of our own


@given(words, tables, st.booleans())
def test_a_reply_is_a_message(msg_type: str, content: dict[str, Any], v1: bool) -> None:
    parent = b'{"session": "theirs", "msg_id": "1"}'
    parts = wire.reply(msg_type, content, parent)
    assert wire.parent_session(parts) == "theirs"
    assert wire.msg_type_of(parts) == msg_type
    found = wire.from_client(wire.to_client("shell", parts, v1=v1), v1=v1)
    assert found.msg_type == msg_type
    assert json.loads(found.parts[3]) == content


@given(st.binary(max_size=30))
def test_headers_that_are_none(header: bytes) -> None:
    assert isinstance(wire.parent_session([b"", header]), str)
    assert isinstance(wire.msg_type_of([header]), str)


def _v1(header: bytes, buffers: int) -> bytes:
    return bytes(wire.to_client("shell", [header, b"{}", b"{}", b"{}", *[b""] * buffers], v1=True))


def _default(buffers: int) -> bytes:
    text = b'{"header": {"msg_id": "1", "msg_type": "x", "session": "s"}, "channel": "shell"}'
    blobs = [text, *[b""] * buffers]
    offset = 4 * (len(blobs) + 1)
    offsets = [offset, *[offset + len(text)] * buffers]
    return struct.pack(f"!{len(blobs) + 1}I", len(blobs), *offsets) + b"".join(blobs)


def test_no_message_is_unpacked_into_millions_of_buffers() -> None:
    header = b'{"msg_id": "1", "msg_type": "x", "session": "s"}'
    most = wire.MAXIMUM_BUFFERS
    assert len(wire.from_client(_v1(header, most), v1=True).parts) == 4 + most
    assert len(wire.from_client(_default(most), v1=False).parts) == 4 + most
    with pytest.raises(wire.WireError, match="offsets"):
        wire.from_client(_v1(header, most + 1), v1=True)
    with pytest.raises(wire.WireError, match="buffers"):
        wire.from_client(_default(most + 1), v1=False)


def test_what_is_kept_of_a_header_is_small() -> None:
    header = {"msg_id": "1", "msg_type": "x", "session": "s" * 256}
    with pytest.raises(wire.WireError, match="255 characters"):
        wire.from_client(_v1(json.dumps(header).encode(), 0), v1=True)
    header = {"msg_id": "1", "msg_type": "x", "session": "s", "more": "x" * 2**16}
    with pytest.raises(wire.WireError, match="header of more than"):
        wire.from_client(_v1(json.dumps(header).encode(), 0), v1=True)
