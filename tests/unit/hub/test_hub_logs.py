"""The hub's log: what happens every day in a team is no warning."""

from __future__ import annotations

import logging

import pytest
from jupyterhub import orm
from teamhub.hub.logs import OrdinaryLevels, log_request


def record(level: int, text: str, *args: object) -> logging.LogRecord:
    return logging.LogRecord("JupyterHub", level, "x.py", 1, text, args, None)


@pytest.mark.parametrize(
    ("level", "text", "expected"),
    [
        (logging.CRITICAL, "Received signal %s, initiating shutdown...", logging.INFO),
        (logging.WARNING, "User %s has stale auth info. Login is required.", logging.INFO),
        (logging.WARNING, "User %s has gone", logging.WARNING),
        (logging.CRITICAL, "Received signal %s...", logging.CRITICAL),
    ],
)
def test_ordinary_business_has_its_level(level: int, text: str, expected: int) -> None:
    said = record(level, text, "x")
    assert OrdinaryLevels("INFO").filter(said)
    assert (said.levelno, said.levelname) == (expected, logging.getLevelName(expected))
    assert OrdinaryLevels("WARNING").filter(record(level, text, "x")) is (expected > logging.INFO)


class Request:
    uri, remote_ip, headers = "/hub/api/user", "127.0.0.1", ()

    def __init__(self, method: str, seconds: float) -> None:
        self.method, self._seconds = method, seconds

    def request_time(self) -> float:
        return self._seconds


class Handler:
    def __init__(self, user: object, method: str, status: int, seconds: float) -> None:
        self.current_user, self._status = user, status
        self.request = Request(method, seconds)

    def get_status(self) -> int:
        return self._status


@pytest.mark.parametrize(
    ("service", "method", "status", "seconds", "shown"),
    [
        (True, "GET", 200, 0.01, False),
        (True, "GET", 200, 2, True),
        (True, "GET", 403, 0.01, True),
        (True, "POST", 201, 0.01, True),
        (False, "GET", 200, 0.01, True),
    ],
)
def test_that_a_service_was_answered_is_for_debugging(
    service: bool, method: str, status: int, seconds: float, shown: bool
) -> None:
    user = orm.Service(name="gateway") if service else {"name": "gateway"}
    said: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = said.append  # type: ignore[method-assign]
    handler.addFilter(OrdinaryLevels("INFO"))
    access = logging.getLogger("tornado.access")
    before = access.level
    access.addHandler(handler)
    access.setLevel(logging.DEBUG)
    try:
        log_request(Handler(user, method, status, seconds))
    finally:
        access.removeHandler(handler)
        access.setLevel(before)
    assert bool(said) is shown
