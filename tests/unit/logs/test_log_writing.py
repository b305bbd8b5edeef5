"""What our processes write, and where it goes when a log is renamed."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from contextvars import Context, copy_context
from pathlib import Path

import pytest
from teamhub import request_id
from teamhub.logs import JsonFormatter, about
from teamhub.logs.lines import TIME_CHARACTERS, time_of
from teamhub.logs.writing import LONGEST_TEXT, into_file


def written(record: logging.LogRecord, context: Context | None = None) -> dict[str, str]:
    line = (context or request_id.outside()).run(JsonFormatter("hub").format, record)
    assert "\n" not in line
    assert len(time_of(line.encode())) == TIME_CHARACTERS
    return dict(json.loads(line))


def record(message: str, *args: object, **more: object) -> logging.LogRecord:
    made = logging.LogRecord("teamhub.x", logging.WARNING, "x", 1, message, args, None)
    made.__dict__.update(more)
    return made


def test_a_line_has_what_is_known_and_nothing_else() -> None:
    made = record("%s is\nthere", "it", created=1_700_000_000.5, unknown="x")
    assert written(made) == {
        "time": "2023-11-14T22:13:20.500Z",
        "level": "warning",
        "process": "hub",
        "logger": "teamhub.x",
        "message": "it is\nthere",
    }


def test_a_line_says_what_it_is_about() -> None:
    with about(kernel_id="k1", user="alice"), about(user=None, request_id="r1"):
        said = written(record("x", client_request_id="c1"))
    assert [said[name] for name in ("request_id", "client_request_id", "kernel_id", "user")] == [
        "r1",
        "c1",
        "k1",
        "alice",
    ]
    assert "user" not in written(record("x"))


def test_the_request_that_is_being_served_is_in_the_line() -> None:
    context = copy_context()
    made = context.run(request_id.begin)
    assert written(record("x"), context)["request_id"] == made


def test_no_secret_is_in_a_message_or_a_traceback() -> None:
    made = record("failed: %s", "/api?token=SECRET")
    made.exc_info = (ValueError, ValueError("http://x/?token=SECRET"), None)
    said = written(made)
    assert "SECRET" not in json.dumps(said)
    assert said["traceback"].splitlines()[-1] == "ValueError: http://x/?token=…"


def test_a_message_is_not_longer_than_its_bound() -> None:
    assert len(written(record("x" * 10 * LONGEST_TEXT))["message"]) <= LONGEST_TEXT + 2


def test_a_file_that_is_renamed_has_a_successor(tmp_path: Path) -> None:
    path = tmp_path / "supervisor.log"
    log = logging.getLogger("teamhub.test")
    with into_file("supervisor", "info", path):
        log.info("first")
        path.rename(tmp_path / "supervisor.log.1")
        log.info("second")
    log.warning("not any more")
    assert [json.loads(line)["message"] for line in path.read_text().splitlines()] == ["second"]


WRITER = """
import logging, os, sys
from pathlib import Path
from teamhub.logs import set_up
set_up("gateway", "info", Path(sys.argv[1]))
log = logging.getLogger("teamhub.x")
for line in sys.stdin:
    if line.startswith("raise"):
        raise RuntimeError("it has ended")
    if line.startswith("raw"):
        os.write(2, b"raw\\n")
    else:
        log.info("%s", line.strip())
    os.write(int(sys.argv[2]), b".")
"""


class Writer:
    """A process that logs what it is told to, its stderr being the log."""

    def __init__(self, path: Path, stderr: Path) -> None:
        with stderr.open("ab") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-c", WRITER, str(path), "1"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
            )

    def say(self, line: str) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{line}\n".encode())
        self.process.stdin.flush()
        assert self.process.stdout.read(1) == b"."

    def end(self, line: str = "") -> int:
        self.process.communicate(f"{line}\n".encode() if line else None, timeout=20)
        return self.process.returncode


def messages(path: Path) -> list[str]:
    lines = path.read_text().splitlines()
    return [json.loads(line)["message"] if line[0] == "{" else line for line in lines]


def test_a_process_stays_with_its_log_when_that_is_renamed(tmp_path: Path) -> None:
    path, older = tmp_path / "gateway.log", tmp_path / "gateway.log.1"
    writer = Writer(path, path)
    writer.say("one")
    path.rename(older)
    writer.say("raw")  # it does not know yet
    writer.say("two")
    writer.say("raw")
    assert writer.end("raise") == 1
    assert messages(older) == ["one", "raw"]
    assert messages(path) == ["two", "raw", "a fault of ours has ended this process"]
    assert (
        "RuntimeError: it has ended" in json.loads(path.read_text().splitlines()[-1])["traceback"]
    )
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("there", [True, False])
def test_a_stderr_that_is_not_the_log_is_left_alone(tmp_path: Path, *, there: bool) -> None:
    path, other = tmp_path / "gateway.log", tmp_path / "other"
    if there:
        path.touch()
    writer = Writer(path, other)
    writer.say("one")
    path.unlink(missing_ok=True)
    writer.say("two")
    assert writer.end() == 0
    assert messages(other) == ["one", "two"]
    assert not path.exists()
