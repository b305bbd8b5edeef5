"""`teamhub logs`: what it shows, and to whom."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cli_rig import Answer
from running import Running

Command = Callable[..., Answer]
NOON = "2026-11-05T12:00:00"


def line(second: int, message: str, process: str = "hub", **fields: str) -> str:
    value = {"time": f"{NOON[:-2]}{second:02d}.000Z", "level": "info", "process": process}
    return json.dumps({**value, "message": message, **fields}) + "\n"


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A data directory with logs, and no team server."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "hub.log").write_text(
        line(1, "it starts")
        + line(3, "it fails", level="error", traceback="Traceback:\nValueError: x")
        + line(4, "for alice", request_id="0123456789abcdef", user="alice")
    )
    (logs / "gateway.log").write_text(line(2, "asked for", "gateway", kernel_id="kernel-1"))
    workload = tmp_path / "workloads/kernel-1"
    workload.mkdir(parents=True)
    (workload / "about.json").write_text('{"kind": "kernel", "owner": "alice"}')
    (workload / "log").write_text(line(5, "it runs", "shim") + "evil \x1b[31m\x07 text\n")
    yield tmp_path
    monkeypatch.undo()
    time.tzset()


def test_a_line_says_when_who_and_what(command: Command, data_dir: Path) -> None:
    answer = command("logs", "--data-dir", str(data_dir))
    assert answer.code == 0
    assert answer.err == ""
    assert answer.out.splitlines() == [
        "2026-11-05 12:00:01.000 hub        info     it starts",
        "2026-11-05 12:00:02.000 gateway    info     [kernel-1] asked for",
        "2026-11-05 12:00:03.000 hub        error    it fails",
        "    Traceback:",
        "    ValueError: x",
        "2026-11-05 12:00:04.000 hub        info     [01234567] for alice",
        "2026-11-05 12:00:05.000 shim       info     [kernel-1] it runs",
    ]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["-n", "1"], ["it runs"]),
        (["-n", "0"], []),
        (["--process", "gateway"], ["asked for"]),
        (["--process", "gateway", "--process", "shim"], ["asked for", "it runs"]),
        (["--kernel", "KERNEL"], ["asked for", "it runs", "evil \x1b[31m\x07 text"]),
        (["--user", "Alice"], ["for alice", "it runs", "evil \x1b[31m\x07 text"]),
        (["--request", "01234"], ["for alice"]),
        (["--level", "error"], ["it fails"]),
        (
            ["--since", f"{NOON}.004Z"],
            ["it starts", "asked for", "it fails", "for alice", "it runs"],
        ),
        (["--since", "2026-11-05T12:00:04Z"], ["for alice", "it runs"]),
        (["--since", "2026-11-05 12:00:04"], ["for alice", "it runs"]),
        (["--since", "2026-11-05T13:00:04+01:00", "-n", "1"], ["it runs"]),
    ],
)
def test_what_can_be_asked_for(
    command: Command, data_dir: Path, options: list[str], said: list[str]
) -> None:
    answer = command("logs", "--json", *options, "--data-dir", str(data_dir))
    assert answer.code == 0
    lines = [json.loads(each) for each in answer.out.splitlines()]
    assert [each["message"] for each in lines] == said


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--request", "zzzz"], 0, "there is no line of request 'zzzz'"),
        (["--user", "eve"], 0, "there is no line of user 'eve'"),
        (["--kernel", "kern", "--level", "error"], 0, "there is no line of kernel 'kern' that is"),
        (["--kernel", "nope"], 1, "there is no line of kernel 'nope', and no log of such a kernel"),
        (["--kernel", "nope", "--json"], 1, "there is no line of kernel 'nope', and no log"),
    ],
)
def test_that_there_is_none_is_said(
    command: Command, data_dir: Path, options: list[str], code: int, said: str
) -> None:
    answer = command("logs", *options, "--data-dir", str(data_dir))
    assert (answer.code, answer.out) == (code, "")
    assert said in answer.err
    assert answer.err.count("\n") == 1


def test_nothing_is_said_where_no_line_is_asked_for(command: Command, data_dir: Path) -> None:
    for options in (["-n", "0", "--user", "alice"], ["--process", "proxy"]):
        answer = command("logs", *options, "--data-dir", str(data_dir))
        assert (answer.code, answer.out, answer.err) == (0, "", "")


def test_a_terminal_has_colours(
    command: Command, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = command("logs", "--data-dir", str(data_dir)).out
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    coloured = command("logs", "--data-dir", str(data_dir)).out
    assert re.search("\x1b\\[31m.*it fails\x1b\\[0m", coloured)
    assert re.sub("\x1b\\[[0-9;]*m", "", coloured) == plain
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in command("logs", "--data-dir", str(data_dir)).out


def test_json_has_all_that_is_known(command: Command, data_dir: Path) -> None:
    answer = command("logs", "--json", "--process", "shim", "--data-dir", str(data_dir))
    assert json.loads(answer.out) == {
        "time": f"{NOON[:-2]}05.000Z",
        "level": "info",
        "process": "shim",
        "message": "it runs",
        "kernel_id": "kernel-1",
        "user": "alice",
    }


def test_a_kernel_does_not_write_to_the_readers_terminal(command: Command, data_dir: Path) -> None:
    answer = command("logs", "--kernel", "kernel-1", "--data-dir", str(data_dir))
    assert answer.out.splitlines()[-1].endswith("evil �[31m� text")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--since", "soon"], "'soon' should be such as 10m, 2h, 1d or 2026-11-05T14:30"),
        (["--process", "shmi"], "'shmi' is not one of"),
        (["--level", "loud"], "'loud' is not one of"),
        (["-n", "-1"], "-1 is not in the range"),
    ],
)
def test_wrong_usage_is_one_line(
    command: Command, data_dir: Path, options: list[str], said: str
) -> None:
    answer = command("logs", *options, "--data-dir", str(data_dir))
    assert answer.code == 2
    assert said in answer.err
    assert answer.err.count("\n") == 1


def test_where_none_ever_ran(command: Command, tmp_path: Path) -> None:
    answer = command("logs", "--data-dir", str(tmp_path))
    assert answer.code == 4
    assert answer.err == (
        f"teamhub: there are no logs in {tmp_path}; no team server was ever started there\n"
    )


def test_it_follows_until_ctrl_c(data_dir: Path) -> None:
    arguments = ["logs", "-f", "-n", "1", "--process", "hub", "--data-dir", str(data_dir)]
    running = Running([sys.executable, "-m", "teamhub.cli", *arguments])
    running.until(lambda: any("for alice" in line for line in running.out))
    hub = data_dir / "logs/hub.log"
    hub.rename(data_dir / "logs/hub.log.1")
    hub.write_text(line(6, "a new one"))
    running.until(lambda: any("a new one" in line for line in running.out))
    running.signal(signal.SIGINT)
    assert running.end() in {0, 130}
    assert len(running.out) == 2
    assert "".join(running.err) == ""


def test_a_reader_that_has_enough_is_no_problem(data_dir: Path) -> None:
    with (data_dir / "logs/hub.log").open("a") as file:
        file.writelines(line(6, "x" * 1000) for _ in range(1000))
    arguments = [sys.executable, "-m", "teamhub.cli", "logs", "-n", "1000"]
    shown = subprocess.Popen(
        [*arguments, "--data-dir", str(data_dir)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"COLUMNS": "80"},
    )
    assert shown.stdout is not None
    shown.stdout.readline()
    shown.stdout.close()
    assert shown.stderr is not None
    assert shown.stderr.read() == b""
    shown.stderr.close()
    shown.wait(30)
