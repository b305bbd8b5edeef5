"""The last lines of many logs, merged."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from log_files import append, at, line, said, source
from teamhub.logs.lines import Line
from teamhub.logs.reading import Wanted, every, last, lines_backwards, opened
from teamhub.logs.sources import of_processes

ALL = Wanted()


def read(*paths: Path, wanted: Wanted = ALL, number: int = 100) -> list[Line]:
    """The last lines; and, where they are all, the same read from the beginning."""
    with opened(source(path) for path in paths) as files:
        found = last(files, wanted, number)
        if number == 100 and not wanted.since:
            assert said(list(every(files, wanted))) == said(found)
    return found


@given(st.lists(st.binary(max_size=20).map(lambda text: text.replace(b"\n", b"")), max_size=30))
def test_backwards_is_forwards_from_the_end(lines: list[bytes]) -> None:
    data = b"\n".join(lines)
    expected = data.split(b"\n") if data else []
    if expected and not expected[-1]:
        expected.pop()
    assert list(lines_backwards(io.BytesIO(data), len(data)))[::-1] == expected


def test_lines_longer_than_a_block_are_whole() -> None:
    data = b"a" * 200_000 + b"\n" + b"b" * 70_000 + b"\n"
    assert [len(each) for each in lines_backwards(io.BytesIO(data), len(data))] == [70_000, 200_000]


def test_logs_are_merged_by_time(tmp_path: Path) -> None:
    hub, gateway = tmp_path / "hub.log", tmp_path / "gateway.log"
    append(hub, line(1, "a"), line(3, "c"), line(5, "e"))
    append(gateway, line(2, "b"), line(4, "d"))
    assert said(read(hub, gateway)) == ["a", "b", "c", "d", "e"]
    assert said(read(hub, gateway, number=2)) == ["d", "e"]
    assert read(hub, gateway, number=0) == []


def test_what_has_no_time_stays_after_the_line_before_it(tmp_path: Path) -> None:
    hub, gateway = tmp_path / "hub.log", tmp_path / "gateway.log"
    append(hub, "early\n", line(1, "a"), "Traceback\n", "  x\n", line(5, "e"))
    append(gateway, line(2, "b"))
    assert said(read(hub, gateway)) == ["early", "a", "Traceback", "  x", "b", "e"]
    assert [each.time for each in read(hub)] == ["", at(1), at(1), at(1), at(5)]


def test_older_files_come_before(tmp_path: Path) -> None:
    hub = tmp_path / "hub.log"
    append(tmp_path / "hub.log.2", line(1, "a"))
    append(tmp_path / "hub.log.1", line(2, "b"), "without a time\n")
    append(hub, "neither\n", line(3, "c"))
    assert said(read(hub)) == ["a", "b", "without a time", "neither", "c"]


def test_no_more_of_a_large_file_is_read_than_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = tmp_path / "hub.log"
    with hub.open("w") as file:
        file.writelines(line(second, second) for second in range(50_000))
    with opened([source(hub)]) as files:
        ((origin, ((file, end),)),) = files
        counted = Counted(file)
        found = last([(origin, [(counted, end)])], ALL, 5)
    assert said(found) == [str(second) for second in range(49_995, 50_000)]
    assert counted.bytes < end / 20


class Counted(io.RawIOBase):
    """A file that counts what is read of it."""

    def __init__(self, file: io.BufferedIOBase) -> None:
        self.file = file
        self.bytes = 0

    def seek(self, offset: int, whence: int = 0) -> int:
        return self.file.seek(offset, whence)

    def read(self, size: int = -1) -> bytes:
        data = self.file.read(size)
        self.bytes += len(data)
        return data


def test_nothing_before_since_is_shown(tmp_path: Path) -> None:
    hub = tmp_path / "hub.log"
    append(tmp_path / "hub.log.1", line(0, "z"))
    append(hub, line(1, "a"), "of a\n", line(2, "b"), "of b\n", line(3, "c"))
    assert said(read(hub, wanted=Wanted(since=at(2)))) == ["b", "of b", "c"]


def test_who_asks_for_a_kernel_sees_all_about_it(tmp_path: Path) -> None:
    gateway, kernel, other = tmp_path / "gateway.log", tmp_path / "k1/log", tmp_path / "k2/log"
    append(
        gateway,
        line(1, "asked for", kernel_id="k1"),
        line(2, "k1 in a message, about k2", kernel_id="k2"),
        "without a time\n",
        line(5, "ended", kernel_id="k1"),
    )
    for path in (kernel, other):
        path.parent.mkdir()
        append(path, line(3, f"{path.parent.name} starts", "shim"), "printed\n")
    found = read(gateway, kernel, other, wanted=Wanted(kernel="k1"))
    assert said(found) == ["asked for", "k1 starts", "printed", "ended"]
    assert [each.process for each in found] == ["hub", "shim", "kernel", "hub"]


def test_what_kernels_print_is_shown_to_who_asks_for_it(tmp_path: Path) -> None:
    kernel = tmp_path / "k1/log"
    kernel.parent.mkdir()
    append(kernel, line(1, "starts", "shim"), "printed\n")
    assert said(read(kernel)) == ["starts"]
    assert said(read(kernel, wanted=Wanted(user="alice"))) == ["starts", "printed"]
    assert said(read(kernel, wanted=Wanted(processes=frozenset({"kernel"})))) == ["printed"]


def test_what_else_can_be_asked_for(tmp_path: Path) -> None:
    hub = tmp_path / "hub.log"
    append(
        hub,
        line(1, "a", request_id="r1", user="alice"),
        line(2, "b", client_request_id="r1", level="warning"),
        line(3, "c", level="error", user="alicea"),
        "raw\n",
        line(4, "d", logger="teamhub.dispatcher", process="gateway", level="debug"),
    )
    for wanted, expected in (
        (Wanted(request="r1"), ["a", "b"]),
        (Wanted(user="alice"), ["a"]),
        (Wanted(level="warning"), ["b", "c", "raw"]),
        (Wanted(level="error"), ["c"]),
        (Wanted(level="info"), ["a", "b", "c", "raw"]),
        (Wanted(processes=frozenset({"dispatcher"})), ["d"]),
        (Wanted(processes=frozenset({"hub"})), ["a", "b", "c", "raw"]),
    ):
        with opened([source(hub)]) as files:
            assert said(last(files, wanted, 100)) == expected, wanted
            assert said(list(every(files, wanted))) == expected, wanted


def test_a_clock_that_went_back_costs_no_line(tmp_path: Path) -> None:
    hub, gateway = tmp_path / "hub.log", tmp_path / "gateway.log"
    append(hub, line(5, "a"), line(3, "b"), line(6, "c"))
    append(gateway, line(4, "x"))
    with opened([source(hub), source(gateway)]) as files:
        assert sorted(said(last(files, ALL, 9))) == ["a", "b", "c", "x"]
        assert sorted(said(list(every(files, ALL)))) == ["a", "b", "c", "x"]


def test_only_logs_are_read(tmp_path: Path) -> None:
    for name in ("hub.log", "hub.log.1", ".hub.log.1.new", "notes.txt"):
        (tmp_path / name).touch()
    assert [each.path.name for each in of_processes(tmp_path)] == ["hub.log"]
    assert of_processes(tmp_path / "none") == ()


TRACE = ("Error: connect ECONNREFUSED 127.0.0.1:8081", "    at TCPConnectWrap.afterConnect")
CRASH = "node:internal/errors: it crashed"


def of_proxy(second: int, level: str, message: str) -> str:
    return f"{at(second)} [ConfigProxy] {level}: {message}\n"


def test_a_trace_of_the_proxy_is_part_of_its_line(tmp_path: Path) -> None:
    proxy = tmp_path / "proxy.log"
    append(proxy, of_proxy(1, "info", "it starts"), of_proxy(2, "error", "503 GET /hub/login"))
    append(proxy, *(f"{text}\n" for text in TRACE))
    append(proxy, of_proxy(3, "error", "503 GET /x"), of_proxy(4, "info", "all is well"))
    append(proxy, f"{CRASH}\n")
    found = read(proxy)
    assert [(each.level, each.message) for each in found] == [
        ("info", "it starts"),
        ("error", "503 GET /hub/login"),
        ("error", "503 GET /x"),
        ("info", "all is well"),
        ("", CRASH),
    ]
    assert [each.traceback for each in found] == ["", "\n".join(TRACE), "", "", ""]
    with opened([source(proxy)]) as files:
        assert list(every(files, ALL)) == found
        faults = last(files, Wanted(level="warning"), 9)
    # How it crashed is no part of what was well before.
    assert [each.message for each in faults] == [found[1].message, found[2].message, CRASH]


def test_a_trace_without_an_end_fills_no_line(tmp_path: Path) -> None:
    proxy = tmp_path / "proxy.log"
    append(proxy, of_proxy(1, "error", "a"), *(f"{number}\n" for number in range(1010)))
    with opened([source(proxy)]) as files:
        found = last(files, ALL, 2000)
        assert list(every(files, ALL)) == found
    assert said(found) == ["a", *(str(number) for number in range(1000, 1010))]
    assert len(found[0].traceback.splitlines()) == 1000
