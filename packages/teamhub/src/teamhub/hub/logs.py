"""The hub's log: which request and whom a line is about, and no password typed as a name."""

from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import Any

from jupyterhub import log
from jupyterhub.orm import Service
from jupyterhub.user import User
from tornado.httputil import HTTPHeaders, HTTPServerRequest
from tornado.web import OutputTransform

from teamhub import request_id
from teamhub.logs import about

REQUEST_ID_HEADER = "X-Request-Id"
_SLOW_SECONDS = 1.0

_routine: ContextVar[bool] = ContextVar("teamhub-hub-routine", default=False)
"""Whether what is logged is only that a service of ours was answered."""

_ORDINARY = ("Received signal %s, initiating shutdown", "User %s has stale auth info")


class RequestIds(OutputTransform):
    """Gives every request an id, which its answer carries, whatever answers.

    Tornado makes one for each request, before the task in which the request is handled.
    """

    def __init__(self, request: HTTPServerRequest) -> None:
        self._id = request_id.begin()
        super().__init__(request)

    def transform_first_chunk(
        self, status_code: int, headers: HTTPHeaders, chunk: bytes, finishing: bool
    ) -> tuple[int, HTTPHeaders, bytes]:
        """Put the id into the headers."""
        headers[REQUEST_ID_HEADER] = self._id
        return status_code, headers, chunk


class WithoutSecrets(logging.Filter):
    """For handlers: leaves out what JupyterHub says and no log should have.

    The name of a failed sign-in may be a password: where it is an account's, the authenticator
    says so in a line of its own. And XSRF cookies are announced with the id of a session.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is logged; change it where it is needed."""
        text = record.msg if isinstance(record.msg, str) else ""
        if text.startswith("Failed login for"):
            record.msg, record.args = "Failed login", None
        return not text.startswith(("Setting new xsrf cookie", "xsrf id mismatch"))


class OrdinaryLevels(logging.Filter):
    """For handlers: gives what happens every day in a team the level of that.

    Otherwise the warnings that mean something are not found among those that do not. That a hub
    is told to end is what `teamhub down` and `teamhub config apply` do; that whom a page belongs
    to has to be looked at again is what happens a minute after each sign-in; and the gateway asks
    whose each token is.

    Args:
        level: the lowest that is logged, such as "INFO".
    """

    def __init__(self, level: str) -> None:
        super().__init__()
        self._lowest = logging.getLevelNamesMapping()[level]

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is logged at the level that it should have; give it that."""
        text = record.msg if isinstance(record.msg, str) else ""
        if _routine.get():
            _relevel(record, logging.DEBUG)
        elif record.levelno > logging.INFO and text.startswith(_ORDINARY):
            _relevel(record, logging.INFO)
        return record.levelno >= self._lowest


def _relevel(record: logging.LogRecord, level: int) -> None:
    record.levelno, record.levelname = level, logging.getLevelName(level)


def log_request(handler: Any) -> None:
    """Log a request as JupyterHub does, and whose it was."""
    try:
        user = handler.current_user
    except Exception:  # whatever an unfinished request makes of it, it is logged
        user = None
    # A service is nobody's user.
    token = _routine.set(isinstance(user, Service) and _is_routine(handler))
    try:
        with about(user=str(user.name) if isinstance(user, User) else None):
            log.log_request(handler)
    finally:
        _routine.reset(token)


def _is_routine(handler: Any) -> bool:
    request = handler.request
    quick = request.request_time() < _SLOW_SECONDS
    return bool(request.method == "GET" and handler.get_status() < 300 and quick)
