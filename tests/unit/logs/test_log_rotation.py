"""Logs that have grown large are put aside; nothing is lost by it."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from teamhub.logs.rotation import rotate, rotate_all

KEPT = {"keep_bytes": 10, "keep_files": 2}
LINES = 20_000

WRITER = """
import logging, sys
from pathlib import Path
from teamhub.logs import set_up
set_up("gateway", "info", Path(sys.argv[1]))
log = logging.getLogger("teamhub.x")
sys.stdin.readline()
for number in range(int(sys.argv[2])):
    log.info("%d", number)
"""


def texts(directory: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in directory.iterdir()}


@pytest.mark.parametrize("by_copy", [True, False])
def test_the_oldest_go(tmp_path: Path, *, by_copy: bool) -> None:
    path = tmp_path / "hub.log"
    for text in ("first and long", "second and long", "third and long", "fourth and long"):
        with path.open("a") as file:
            file.write(text)
        assert rotate(path, **KEPT, by_copy=by_copy)
    expected = {"hub.log.1": "fourth and long", "hub.log.2": "third and long"}
    assert texts(tmp_path) == (expected | {"hub.log": ""} if by_copy else expected)
    assert all(each.stat().st_mode & 0o077 == 0 for each in tmp_path.glob("hub.log.1") if by_copy)


def test_what_is_small_or_not_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "hub.log"
    assert not rotate(path, **KEPT, by_copy=False)
    path.write_text("short")
    assert not rotate(path, **KEPT, by_copy=True)
    assert texts(tmp_path) == {"hub.log": "short"}


def test_fewer_can_be_kept_than_before(tmp_path: Path) -> None:
    path = tmp_path / "hub.log"
    for number in range(1, 6):
        (tmp_path / f"hub.log.{number}").write_text(str(number))
    path.write_text("new and long enough")
    assert rotate(path, **KEPT, by_copy=False)
    assert texts(tmp_path) == {"hub.log.1": "new and long enough", "hub.log.2": "1"}


def test_a_copy_that_is_not_possible_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "proxy.log"
    path.write_text("new and long enough")

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "truncate", full)
    with caplog.at_level(logging.WARNING):
        rotate_all(tmp_path, **KEPT, by_copy={"proxy"})
    assert texts(tmp_path) == {"proxy.log": "new and long enough"}
    assert "cannot be rotated: No space left on device" in caplog.text


def test_all_logs_of_a_directory(tmp_path: Path) -> None:
    for name in ("hub.log", "proxy.log"):
        (tmp_path / name).write_text("long enough for it")
    (tmp_path / "small.log").write_text("small")
    rotate_all(tmp_path, **KEPT, by_copy={"proxy"})
    assert sorted(texts(tmp_path)) == ["hub.log.1", "proxy.log", "proxy.log.1", "small.log"]


def test_no_line_is_lost_while_a_process_writes(tmp_path: Path) -> None:
    path = tmp_path / "gateway.log"
    with path.open("ab") as stderr:
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(LINES)],
            stdin=subprocess.PIPE,
            stderr=stderr,
        )
    assert writer.stdin is not None
    writer.stdin.write(b"\n")
    writer.stdin.close()
    count = 0
    while writer.poll() is None:
        count += rotate(path, keep_bytes=20_000, keep_files=1000, by_copy=False)
    assert writer.returncode == 0
    assert count > 5
    names = [tmp_path / f"gateway.log.{number}" for number in range(count, 0, -1)]
    lines = [line for name in [*names, path] if name.exists() for line in name.open()]
    assert [int(json.loads(line)["message"]) for line in lines] == list(range(LINES))


def test_a_copied_log_loses_only_what_is_written_at_the_cut(tmp_path: Path) -> None:
    """A writer that knows nothing of it: in each of the files whole lines, and none is missing."""
    path = tmp_path / "proxy.log"
    code = f"import os\nfor n in range({LINES}): os.write(1, b'%06d\\n' % n)"
    with path.open("ab") as stdout:
        writer = subprocess.Popen([sys.executable, "-c", code], stdout=stdout)
    count = 0
    while writer.poll() is None:
        count += rotate(path, keep_bytes=20_000, keep_files=1000, by_copy=True)
    assert writer.returncode == 0
    assert count
    before = -1
    for name in [*(f"proxy.log.{number}" for number in range(count, 0, -1)), path.name]:
        numbers = [int(text) for text in (tmp_path / name).read_bytes().splitlines()]
        if numbers:
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
            assert numbers[0] > before
            before = numbers[-1]
