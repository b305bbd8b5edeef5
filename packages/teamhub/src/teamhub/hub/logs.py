"""The hub's log: which request and whom a line is about, and no password typed as a name."""

from __future__ import annotations

import logging
from typing import Any

from jupyterhub import log
from jupyterhub.user import User
from tornado.httputil import HTTPHeaders, HTTPServerRequest
from tornado.web import OutputTransform

from teamhub import request_id
from teamhub.logs import about

REQUEST_ID_HEADER = "X-Request-Id"


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


def log_request(handler: Any) -> None:
    """Log a request as JupyterHub does, and whose it was."""
    try:
        user = handler.current_user
    except Exception:  # whatever an unfinished request makes of it, it is logged
        user = None
    # A service is nobody's user.
    with about(user=str(user.name) if isinstance(user, User) else None):
        log.log_request(handler)
