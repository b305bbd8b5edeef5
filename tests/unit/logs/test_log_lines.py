"""What a line of a log is taken for, whoever wrote it."""

from __future__ import annotations

import json

import pytest
from teamhub.logs import as_text
from teamhub.logs.lines import Line, Origin, parse
from teamhub_shim.protocol import Exit

NOON = "2026-11-05T12:00:00.000Z"
LATER = "2026-11-05T12:00:01.000Z"
HUB = Origin("hub")
KERNEL = Origin("kernel", {"kernel_id": "k1", "user": "alice"}, workload=True, writes="shim")


def of(**fields: str) -> bytes:
    return json.dumps({"time": NOON, "level": "info", "message": "x", **fields}).encode()


def test_a_line_of_ours_is_read_as_it_was_written() -> None:
    raw = of(process="hub", logger="l", level="error", request_id="r1", user="bob", traceback="t")
    line = parse(raw, HUB)
    assert line == Line(NOON, "error", "hub", "x", "l", "t", {"request_id": "r1", "user": "bob"})
    assert parse(line.to_json().encode(), HUB) == line


@pytest.mark.parametrize(
    ("text", "level", "message"),
    [
        (
            f"{NOON} [ConfigProxy] \x1b[32minfo\x1b[39m: 200 GET /api/routes ",
            "info",
            "200 GET /api/routes",
        ),
        (f"{NOON} [ConfigProxy] warn: Terminated", "warning", "Terminated"),
        (f"{NOON} [ConfigProxy] error: 503 GET /x Error: y", "error", "503 GET /x Error: y"),
    ],
)
def test_the_proxys_own_text_is_understood(text: str, level: str, message: str) -> None:
    line = parse(text.encode(), Origin("proxy"))
    assert (line.time, line.level, line.process, line.message) == (NOON, level, "proxy", message)


@pytest.mark.parametrize(
    "raw",
    [
        b"Traceback (most recent call last):",
        b"{not json",
        b'{"time": "2026-11-05T12:00:00.000Z", "level": ',
        b'{"time": "yesterday", "message": "x"}',
        b'{"time": "2026-11-05T12:00:00.000Z"' + b', "a": {' * 100_000,
        b"\xff\xfe",
        b"",
    ],
)
def test_what_is_not_understood_is_shown_as_it_is(raw: bytes) -> None:
    line = parse(raw, HUB, NOON)
    assert line.message == raw.decode("utf-8", "replace")
    assert (line.time, line.level, line.process, line.has_time) == (NOON, "", "hub", False)


def test_values_of_other_kinds_are_left_out() -> None:
    raw = json.dumps({"time": NOON, "level": 3, "process": None, "message": [1], "user": {}})
    assert parse(raw.encode(), HUB) == Line(NOON, "", "hub", "")


def test_a_kernel_can_forge_a_line_of_its_own_shim_alone() -> None:
    forged = of(process="shim", kernel_id="k2", user="bob", request_id="r1")
    line = parse(forged, KERNEL, latest=LATER)
    assert line.fields == {"request_id": "r1", "kernel_id": "k1", "user": "alice"}
    other = parse(of(process="hub", message="all is well"), KERNEL, NOON, latest=LATER)
    assert (other.process, other.level, other.has_time) == ("kernel", "", False)


def test_a_kernel_writes_nothing_in_the_future() -> None:
    raw = of(process="shim", time="2099-01-01T00:00:00.000Z")
    assert parse(raw, KERNEL, latest=LATER).time == LATER


def test_the_end_of_a_shim_is_a_line_of_its_own() -> None:
    raw = Exit("killed", "the kernel was killed by SIGKILL", -9, "secret output").to_line()
    line = parse(raw.encode(), KERNEL, NOON)
    assert line.message == "the shim has ended: the kernel was killed by SIGKILL"
    assert (line.process, line.level, line.time) == ("shim", "warning", NOON)


def test_people_are_shown_text() -> None:
    log = "\n".join(
        [
            of(process="notebook", message="it starts").decode(),
            "no module named torch",
            of(process="notebook", level="error", message="failed", traceback="a\nb").decode(),
            Exit("exited", "x", 1).to_line(),
        ]
    )
    assert as_text(log).splitlines() == [
        "it starts",
        "no module named torch",
        "error: failed",
        "a",
        "b",
    ]
    assert as_text("") == ""
