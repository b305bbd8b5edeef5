"""Reading one line of a log, whoever wrote it and however."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from teamhub_shim.protocol import EXIT_MARKER, Exit

from teamhub.logs.fields import FIELDS

LEVELS = ("debug", "info", "warning", "error", "critical")

TIME_CHARACTERS = 24
"""Of every time, so that they can be compared as text."""

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_BEGINNING = b'{"time": "'
_COLOUR = r"(?:\x1b\[[0-9;]*m)*"
# 2026-11-05T10:00:00.123Z [ConfigProxy] info: 200 GET /api/routes
_PROXY = re.compile(
    rf"({_TIME.pattern}) \[(\w+)\] {_COLOUR}(debug|info|warn|error){_COLOUR}: (.*)", re.DOTALL
)
_REQUESTS = ("request_id", "client_request_id")
TRACE_LINES = 1000
"""As many lines at most are taken for the trace of the one before them."""


@dataclass(frozen=True)
class Origin:
    """Whose log it is.

    Attributes:
        process: what writes it, as far as a line itself does not say.
        fields: true of all its lines, whatever those say themselves.
        workload: it is written by a member's own processes: a line of it may only say that it is
            of `writes`, and about nothing else than `fields`, and not in the future.
        writes: the process of ours in that workload: "shim" or "notebook".
    """

    process: str
    fields: Mapping[str, str] = field(default_factory=dict)
    workload: bool = False
    writes: str = ""

    @property
    def has_traces(self) -> bool:
        """Whether a warning or an error is followed by its trace, line by line, as Node does."""
        return not self.workload and self.process == "proxy"


@dataclass(frozen=True)
class Line:
    """One line of a log: `teamhub.logs` says what its fields are.

    `time` is '' where none is known, `level` where the writer is not one of ours. `has_time` is
    False where the time is that of the line before it.
    """

    time: str
    level: str
    process: str
    message: str
    logger: str = ""
    traceback: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    has_time: bool = True

    def to_json(self) -> str:
        """Return it as one line of JSON."""
        value = {
            "time": self.time,
            "level": self.level,
            "process": self.process,
            "logger": self.logger,
            "message": self.message,
            **{name: self.fields[name] for name in FIELDS if name in self.fields},
            "traceback": self.traceback,
        }
        return json.dumps({name: text for name, text in value.items() if text})


def parse(raw: bytes, origin: Origin, before: str = "", *, latest: str = "9") -> Line:
    """Return what a line says. One that cannot be understood is its own message.

    Args:
        raw: without its end.
        origin: whose log it stands in.
        before: the time of the line before it.
        latest: a workload's line cannot be later than this.
    """
    text = raw.decode("utf-8", "replace").rstrip("\r")
    found = _of_json(raw, origin, latest)
    if found is None and origin.workload and text.startswith(EXIT_MARKER):
        found = _of_exit(text, origin, before)
    if found is None and not origin.workload:
        found = _of_proxy(text, origin)
    if found is not None:
        return found
    return Line(before, "", origin.process, text, fields=origin.fields, has_time=False)


def may_have_trace(line: Line, origin: Origin) -> bool:
    """Return whether lines after it without a time are its trace.

    After one that is no fault they are a fault of their own: how the process crashed, mostly.
    """
    return origin.has_traces and line.has_time and line.level in {"warning", "error"}


def with_trace(line: Line, following: Sequence[Line]) -> Line:
    """Return a line with those that follow it as its traceback."""
    return replace(line, traceback="\n".join([line.message for line in following]))


def joined(lines: Iterable[Line], origin: Origin) -> Iterator[Line]:
    """Yield lines of an origin, oldest first, in which traces are part of the line before them."""
    before: Line | None = None
    trace: list[Line] = []
    for line in lines:
        if before is not None:
            if not line.has_time and len(trace) < TRACE_LINES:
                trace.append(line)
                continue
            yield with_trace(before, trace)
            before, trace = None, []
        if may_have_trace(line, origin):
            before = line
        else:
            yield line
    if before is not None:
        yield with_trace(before, trace)


def time_of(raw: bytes) -> str:
    """Return the time with which a JSON line begins, '' where it does not; without parsing it."""
    if not raw.startswith(_BEGINNING):
        return ""
    text = raw[len(_BEGINNING) : len(_BEGINNING) + TIME_CHARACTERS].decode("ascii", "replace")
    return text if _TIME.fullmatch(text) else ""


def as_text(log: str) -> str:
    """Return a log as people read it: of our JSON lines the level, the message and the traceback.

    For the last lines of a process that did not start: they are shown to whoever started it.
    """
    shown: list[str] = []
    for line in log.splitlines():
        value = _json(line.encode("utf-8", "replace"))
        if value is not None:
            shown.extend(_plain(value))
        elif not line.startswith(EXIT_MARKER):
            shown.append(line)
    return "\n".join(shown) + "\n" if shown else ""


def _plain(value: Mapping[str, Any]) -> Iterator[str]:
    level = _text(value, "level")
    message = _text(value, "message")
    yield from (f"{level}: {message}" if level not in {"", "info"} else message).splitlines()
    yield from _text(value, "traceback").splitlines()


def _json(raw: bytes) -> dict[str, Any] | None:
    if not time_of(raw):
        return None
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _of_json(raw: bytes, origin: Origin, latest: str) -> Line | None:
    value = _json(raw)
    if value is None:
        return None
    process = _text(value, "process")
    time = _text(value, "time")[:TIME_CHARACTERS]
    fields = {name: _text(value, name) for name in FIELDS if _text(value, name)}
    if origin.workload:
        if process != origin.writes:
            return None
        time = min(time, latest)
        fields = {name: fields[name] for name in _REQUESTS if name in fields}
    level = _text(value, "level")
    return Line(
        time,
        level if level in LEVELS else "",
        process or origin.process,
        _text(value, "message"),
        _text(value, "logger"),
        _text(value, "traceback"),
        {**fields, **origin.fields},
    )


def _of_exit(text: str, origin: Origin, before: str) -> Line | None:
    ended = Exit.find(text)
    if ended is None:
        return None
    level = "info" if ended.reason == "asked" else "warning"
    message = f"the shim has ended: {ended.detail or ended.reason}"
    return Line(before, level, "shim", message, fields=origin.fields, has_time=False)


def _of_proxy(text: str, origin: Origin) -> Line | None:
    match = _PROXY.fullmatch(text)
    if match is None:
        return None
    level = "warning" if match[3] == "warn" else match[3]
    return Line(match[1], level, origin.process, match[4].rstrip(), match[2], fields=origin.fields)


def _text(value: Mapping[str, Any], name: str) -> str:
    found = value.get(name)
    return found if isinstance(found, str) else ""
