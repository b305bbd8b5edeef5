"""The notebook server's log: JSON lines, as all processes of teamhub write them."""

from __future__ import annotations

import logging
import re
from datetime import UTC, datetime
from typing import Any

from pythonjsonlogger.json import JsonFormatter

LONGEST_TEXT = 32 * 1024

# The server leaves tokens out of the addresses that it logs; this is for what libraries say.
_SECRET = re.compile(
    r"""((?:token|password|secret|_xsrf)(?:=|%(?:25)*3D|["']\s*:\s*["'])"""
    r"""|authorization["']?\s*[:=]\s*["']?(?:\w+\s+)?)[^&\s"',;]+""",
    re.IGNORECASE,
)


class LogFormatter(JsonFormatter):
    """Writes a record as one line of JSON.

    The arguments that traitlets gives a formatter (a format, a format of dates) say nothing.
    """

    def __init__(self, *_: object, **__: object) -> None:
        super().__init__()

    def add_fields(
        self,
        log_data: dict[str, Any],
        record: logging.LogRecord,
        message_dict: dict[str, Any],
    ) -> None:
        """See BaseJsonFormatter: put in what a line has, and nothing else."""
        now = datetime.fromtimestamp(record.created, UTC)
        log_data["time"] = now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{now.microsecond // 1000:03d}Z"
        log_data["level"] = record.levelname.lower()
        log_data["process"] = "notebook"
        log_data["logger"] = record.name
        log_data["message"] = _clean(record.getMessage())
        trace = message_dict.get("exc_info") or message_dict.get("stack_info")
        if trace:
            log_data["traceback"] = _clean(str(trace))


def write_json_lines(*applications: type[Any]) -> None:
    """Have applications of traitlets log as LogFormatter writes, from their first line on.

    Args:
        applications: classes; those that are derived from them do, too.
    """
    for application in applications:
        application._log_formatter_cls = LogFormatter
    handler = logging.StreamHandler()
    handler.setFormatter(LogFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.captureWarnings(True)


def _clean(text: str) -> str:
    return _SECRET.sub(r"\1…", text[:LONGEST_TEXT])
