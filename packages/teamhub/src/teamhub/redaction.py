"""Tokens in addresses never reach a log."""

from __future__ import annotations

import logging
import re

# An address within an address is escaped, once for each time that it was handed on.
_TOKENS = re.compile(r"((?:token|session_id)(?:=|%(?:25)*3D))[^&\s\"%]+", re.IGNORECASE)


class Redacted(logging.Filter):
    """For handlers: what a record says, without the tokens in it."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record where it is needed; let every one through."""
        text = record.getMessage()
        clean = _TOKENS.sub(r"\1…", text)
        if clean != text:
            record.msg, record.args = clean, None
        return True
