"""Following logs: every line once, whatever becomes of the files."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from log_files import append, line, said, source
from teamhub.logs import following
from teamhub.logs.following import Follower
from teamhub.logs.reading import Wanted
from teamhub.logs.rotation import rotate
from teamhub.logs.sources import Source, of_processes
from teamhub_shim.protocol import Exit

Following = Callable[..., Follower]


@pytest.fixture
def follow(tmp_path: Path) -> Iterator[Following]:
    """Follows the logs in the test's directory, and of the workloads in it."""
    made: list[Follower] = []

    def find() -> list[Source]:
        workloads = [source(path) for path in tmp_path.glob("*/log")]
        return [*of_processes(tmp_path), *workloads]

    def begin(wanted: Wanted | None = None) -> Follower:
        made.append(Follower(find, wanted or Wanted()))
        return made[-1]

    yield begin
    for follower in made:
        follower.close()
        follower.close()


def move(path: Path) -> None:
    assert rotate(path, keep_bytes=0, keep_files=9, by_copy=False)


def copy(path: Path) -> None:
    assert rotate(path, keep_bytes=0, keep_files=9, by_copy=True)


def test_it_goes_on_where_the_last_lines_end(tmp_path: Path, follow: Following) -> None:
    hub = tmp_path / "hub.log"
    append(hub, line(1, "a"), line(2, "b"), '{"time": "')
    follower = follow()
    assert said(follower.begin(1)) == ["b"]
    assert follower.look() == []
    append(hub, line(3, "c").removeprefix('{"time": "'), line(4, "d"))
    assert said(follower.look()) == ["c", "d"]
    assert follower.look() == []


def test_new_logs_are_found(tmp_path: Path, follow: Following) -> None:
    follower = follow()
    assert follower.begin(9) == []
    append(tmp_path / "hub.log", line(2, "b"))
    (tmp_path / "k1").mkdir()
    append(tmp_path / "k1/log", line(1, "a", "shim"))
    assert said(follower.look()) == ["a", "b"]


def test_a_log_that_is_renamed_is_followed_in_both(tmp_path: Path, follow: Following) -> None:
    hub = tmp_path / "hub.log"
    append(hub, line(1, "a"))
    follower = follow()
    follower.begin(9)
    append(hub, line(2, "b"))
    move(hub)
    assert said(follower.look()) == ["b"]
    append(tmp_path / "hub.log.1", line(3, "late"))  # its writer does not know yet
    assert said(follower.look()) == ["late"]
    append(hub, line(4, "c"))
    append(tmp_path / "hub.log.1", line(5, "later"))
    assert said(follower.look()) == ["c", "later"]
    append(hub, line(6, "d"))
    assert said(follower.look()) == ["d"]


def test_logs_that_come_and_go_between_two_looks_are_read(
    tmp_path: Path, follow: Following
) -> None:
    hub = tmp_path / "hub.log"
    append(tmp_path / "hub.log.1", line(0, "old"))
    append(hub, line(1, "a"))
    follower = follow()
    follower.begin(0)
    for second in range(2, 6):
        append(hub, line(second, second))
        move(hub)
    append(hub, line(6, 6))
    assert said(follower.look()) == ["2", "3", "4", "5", "6"]
    assert follower.look() == []


def test_what_came_before_a_cut_is_found_in_the_copy(tmp_path: Path, follow: Following) -> None:
    proxy = tmp_path / "proxy.log"
    append(proxy, line(1, "a"))
    follower = follow()
    follower.begin(9)
    append(proxy, line(2, "b"))
    assert said(follower.look()) == ["b"]
    append(proxy, line(3, "c"), line(4, "d"))
    copy(proxy)
    append(proxy, line(5, "e"))
    assert said(follower.look()) == ["c", "d", "e"]
    assert follower.look() == []


def test_a_cut_whose_copy_is_not_there_yet(tmp_path: Path, follow: Following) -> None:
    log = tmp_path / "k1/log"
    log.parent.mkdir()
    append(log, line(1, "a", "shim"))
    follower = follow()
    follower.begin(9)
    append(log, line(2, "b", "shim"))
    text = log.read_text()
    log.write_text("")  # as Directory.cut_log does it: first room, then the copy
    assert follower.look() == []
    (log.parent / "log.1").write_text(text)
    append(log, line(3, "c", "shim"))
    assert said(follower.look()) == ["b", "c"]


def test_a_cut_without_a_copy_does_not_stop_it(tmp_path: Path, follow: Following) -> None:
    proxy = tmp_path / "proxy.log"
    append(proxy, line(1, "a"))
    follower = follow()
    follower.begin(9)
    proxy.write_text("")
    assert follower.look() == []
    append(proxy, line(2, "b"))
    assert said(follower.look() + follower.look()) == ["b"]


def test_the_last_words_of_a_workload_that_is_deleted(tmp_path: Path, follow: Following) -> None:
    log = tmp_path / "k1/log"
    log.parent.mkdir()
    append(log, line(1, "a", "shim"))
    follower = follow(Wanted(kernel="k1"))
    follower.begin(9)
    append(log, "bye\n", Exit("asked", "it was asked to").to_line())
    shutil.rmtree(log.parent)
    assert said(follower.look()) == ["bye", "the shim has ended: it was asked to"]
    log.parent.mkdir()
    append(log, line(2, "again", "shim"))  # the next attempt
    assert said(follower.look()) == ["again"]


def test_a_log_that_somebody_deletes_does_not_show_the_older_ones_again(
    tmp_path: Path, follow: Following
) -> None:
    hub = tmp_path / "hub.log"
    append(tmp_path / "hub.log.1", line(1, "old"))
    append(hub, line(2, "a"))
    follower = follow()
    assert said(follower.begin(9)) == ["old", "a"]
    append(hub, line(3, "b"))
    hub.unlink()
    assert said(follower.look()) == ["b"]
    assert follower.look() == []
    append(hub, line(4, "c"))
    assert said(follower.look()) == ["c"]


def test_only_what_is_wanted_is_given(tmp_path: Path, follow: Following) -> None:
    follower = follow(Wanted(level="error"))
    follower.begin(9)
    append(tmp_path / "hub.log", line(1, "a"), line(2, "b", level="error"))
    assert said(follower.look()) == ["b"]


def test_what_comes_now_without_a_time_is_from_now(tmp_path: Path, follow: Following) -> None:
    log = tmp_path / "k1/log"
    log.parent.mkdir()
    append(log, line(1, "a", "shim"))
    follower = follow(Wanted(kernel="k1"))
    (first,) = follower.begin(9)
    append(log, "printed\n")
    (printed,) = follower.look()
    assert printed.time > first.time


@pytest.mark.parametrize("seed", range(10))
def test_no_line_is_missed_or_doubled(
    tmp_path: Path, follow: Following, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(following, "_LEAVE_SECONDS", 0.0)
    chosen = random.Random(seed)  # noqa: S311
    hub, proxy = tmp_path / "hub.log", tmp_path / "proxy.log"
    writer = Renamed(hub)
    number = 0
    follower = follow()
    found = said(follower.begin(9))
    for _ in range(200):
        match chosen.randrange(6):
            case 0 if hub.exists() and hub.stat().st_size:
                move(hub)
            case 1 if proxy.exists() and proxy.stat().st_size:
                found += said(follower.look())  # two cuts between two looks are one too many
                copy(proxy)
                found += said(follower.look())
            case 2:
                found += said(follower.look())
            case _:
                number += 1
                writer.write(line(number, number))
                append(proxy, line(number, -number, "proxy"))
    writer.close()
    found += said(follower.look()) + said(follower.look())
    assert sorted(map(int, found)) == sorted([*range(-number, 0), *range(1, number + 1)])


class Renamed:
    """Writes to a log as LogStream does: to a new file once the old one is renamed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = path.open("a")

    def write(self, text: str) -> None:
        if not self.path.exists():
            self.file.close()
            self.file = self.path.open("a")
        self.file.write(text)
        self.file.flush()

    def close(self) -> None:
        self.file.close()


def test_json_lines_are_what_is_given(tmp_path: Path, follow: Following) -> None:
    follower = follow()
    follower.begin(9)
    append(tmp_path / "hub.log", line(1, "a", user="alice"))
    (found,) = follower.look()
    assert json.loads(found.to_json())["user"] == "alice"


def test_a_trace_of_the_proxy_comes_with_its_line(tmp_path: Path, follow: Following) -> None:
    proxy = tmp_path / "proxy.log"
    append(proxy, "")
    follower = follow(Wanted(level="error"))
    assert follower.begin(9) == []
    stamp = json.loads(line(1, "a"))["time"]
    append(proxy, f"{stamp} [ConfigProxy] error: 503 GET /x\n", "Error: away\n", "    at b\n")
    (found,) = follower.look()
    assert (found.message, found.traceback) == ("503 GET /x", "Error: away\n    at b")
