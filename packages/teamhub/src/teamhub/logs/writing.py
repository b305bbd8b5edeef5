"""How our processes write their logs: JSON lines to stderr, which is a file that is rotated."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from logging.handlers import WatchedFileHandler
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from pythonjsonlogger.json import JsonFormatter as BaseFormatter

from teamhub import request_id
from teamhub.logs import fields
from teamhub.logs.redaction import redacted

LONGEST_TEXT = 32 * 1024
"""Characters of a message or a traceback that are kept: a stranger's request fills no disk."""

_STDOUT, _STDERR = 1, 2


def moment(seconds: float) -> str:
    """Return a time since the epoch as every line has it. They sort as they follow each other."""
    found = datetime.fromtimestamp(seconds, UTC)
    return found.strftime("%Y-%m-%dT%H:%M:%S.") + f"{found.microsecond // 1000:03d}Z"


class JsonFormatter(BaseFormatter):
    """Writes a record as one line; see `teamhub.logs` for its fields. No secret passes.

    Args:
        process: the name of ours, such as "hub".
    """

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def add_fields(
        self,
        log_data: dict[str, Any],
        record: logging.LogRecord,
        message_dict: dict[str, Any],
    ) -> None:
        """See BaseJsonFormatter: put in what a line has, and nothing else."""
        log_data["time"] = moment(record.created)
        log_data["level"] = record.levelname.lower()
        log_data["process"] = self._process
        log_data["logger"] = record.name
        log_data["message"] = _clean(record.getMessage())
        log_data |= _fields(record)
        trace = message_dict.get("exc_info") or message_dict.get("stack_info")
        if trace:
            log_data["traceback"] = _clean(str(trace), keep_end=True)


class LogStream(logging.StreamHandler[TextIO]):
    """Writes to stderr, and stays with a log file that is renamed.

    Where stderr is that file, and the file is not at its path any more, stderr (and stdout, if it
    was the same) goes on in a new file at the path; what was written before is all in the old
    one. So a log is rotated without losing a line and without anything between us and the file.

    Args:
        stream: stderr, of this process or of a test.
        path: the log's; None: stay where we are.
    """

    def __init__(self, stream: TextIO | None = None, path: str | Path | None = None) -> None:
        super().__init__(stream)
        self._path = path
        self._descriptors = [d for d in (_STDOUT, _STDERR) if _is_at(d, path)]

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record. Called with the handler's lock held, so one at a time."""
        if self._descriptors and not _is_at(_STDERR, self._path):
            self._reopen()
        super().emit(record)

    def _reopen(self) -> None:
        assert self._path is not None
        try:
            new = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        except OSError:
            return  # a full disk, or the directory is gone: better the old file than none
        self.flush()
        for descriptor in self._descriptors:
            os.dup2(new, descriptor)
        os.close(new)


def set_up(process: str, level: str, path: Path | None = None) -> None:
    """Have this process write its log to stderr, all of it: also warnings and its own end.

    Args:
        process: its name, such as "gateway".
        level: "debug", "info", "warning" or "error".
        path: of the file that stderr is, so that it may be rotated.
    """
    handler = LogStream(path=path)
    handler.setFormatter(JsonFormatter(process))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught


@contextmanager
def into_file(process: str, level: str, path: Path) -> Iterator[None]:
    """Have what this process logs written to a file, which may be rotated, and not to its stderr.

    For the supervisor, whose stderr is somebody's terminal. A disk that is full is no fault.
    """
    handler = _LogFile(path, delay=True)
    handler.setFormatter(JsonFormatter(process))
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(level.upper())
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
        handler.close()


class _LogFile(WatchedFileHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  the library's name
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)


def _log_uncaught(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    logging.getLogger("teamhub").critical(
        "a fault of ours has ended this process", exc_info=(kind, error, trace)
    )


def _fields(record: logging.LogRecord) -> Mapping[str, str]:
    said = {"request_id": request_id.current(), **fields.current()}
    values = ((name, record.__dict__.get(name) or said.get(name)) for name in fields.FIELDS)
    return {name: _clean(str(value)) for name, value in values if value}


def _clean(text: str, *, keep_end: bool = False) -> str:
    text = redacted(text)
    if len(text) <= LONGEST_TEXT:
        return text
    return f"… {text[-LONGEST_TEXT:]}" if keep_end else f"{text[:LONGEST_TEXT]} …"


def _is_at(descriptor: int, path: str | Path | None) -> bool:
    if path is None:
        return False
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))  # noqa: PTH116
    except OSError:
        return False
