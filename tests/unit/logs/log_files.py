"""Log files for tests of reading."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from teamhub.logs.lines import Line, Origin
from teamhub.logs.sources import Source
from teamhub.logs.writing import moment

START = datetime(2026, 11, 5, 12, tzinfo=UTC).timestamp()


def at(second: float) -> str:
    """A time as lines have it, so many seconds after noon."""
    return moment(START + second)


def line(second: float, message: object, process: str = "hub", **fields: str) -> str:
    """A line as a process of ours writes it."""
    value = {"time": at(second), "level": "info", "process": process, "message": str(message)}
    return json.dumps({**value, **fields}) + "\n"


def append(path: Path, *texts: str) -> None:
    """Append to a file as a process does."""
    with path.open("a") as file:
        file.write("".join(texts))


def source(path: Path, **more: object) -> Source:
    """The source at a path, a workload's where it is called `log`."""
    if path.name == "log":
        fields = {"kernel_id": path.parent.name, "user": "alice"}
        return Source(path, Origin("kernel", fields, workload=True, writes="shim"))
    return Source(path, Origin(path.stem))


def said(lines: list[Line]) -> list[str]:
    """The messages."""
    return [each.message for each in lines]
