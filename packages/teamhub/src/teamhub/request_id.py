"""Which request is being worked on: an id that can be followed from an answer to the logs.

The gateway makes one for each request; it stays what it is for the life of a websocket, and goes
along with what the gateway asks of a shim. Whoever writes a log line can ask for the present one.
"""

from __future__ import annotations

import contextvars
import secrets

_CURRENT: contextvars.ContextVar[str] = contextvars.ContextVar("teamhub_request_id", default="")
_BYTES = 8
_FOREIGN_CHARACTERS = 64


def begin() -> str:
    """Make an id for a request that begins here, and return it: 16 hex digits.

    It holds for the present task and the tasks that it starts. A second call begins another.
    """
    made = secrets.token_hex(_BYTES)
    _CURRENT.set(made)
    return made


def current() -> str:
    """Return the id of the request that is being worked on, empty outside of one."""
    return _CURRENT.get()


def outside() -> contextvars.Context:
    """Return a context that belongs to no request.

    For work that goes on after the request that began it: its log lines are not that request's.
    """
    context = contextvars.copy_context()
    context.run(_CURRENT.set, "")
    return context


def foreign(value: str | None) -> str:
    """Return an id that somebody else made, fit for a log line; empty where there is none.

    It is believed to be nothing but text: at most 64 characters, what is not printable ASCII
    becomes a question mark.
    """
    text = (value or "")[:_FOREIGN_CHARACTERS].strip()
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in text)
