"""What a page says when something went wrong: what happened, and what to do about it."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus

from sqlalchemy.exc import SQLAlchemyError
from tornado import web

from teamhub import request_id
from teamhub.errors import StoreError

_log = logging.getLogger(__name__)


class DatabaseAway(web.HTTPError):
    """A database cannot be used: a 503 that says what to do."""

    def __init__(self, error: Exception) -> None:
        super().__init__(
            503,
            "The database of this team server does not answer, so nothing was done. "
            "Try again in a minute; if it lasts, tell an administrator.",
        )
        self.headers = {"Retry-After": "30"}
        _log.error("The database cannot be used: %s", error)


class TooManyAttempts(web.HTTPError):
    """Somebody has tried too often and has to wait. JupyterHub sends `headers` along."""

    def __init__(self, what: str, wait_seconds: float) -> None:
        seconds = math.ceil(wait_seconds)
        unit = "second" if seconds == 1 else "seconds"
        super().__init__(429, f"Too many {what}. Try again in {seconds} {unit}.")
        self.headers = {"Retry-After": str(seconds)}


@dataclass(frozen=True)
class Problem:
    """What a page says.

    Attributes:
        title: its heading, in a few words.
        what: what happened, one or two sentences; empty where the message says it.
        remedies: what to do, the likeliest first.
        message: what was said of this one, where it helps.
        request_id: by which it is found in the logs; empty where nobody has to look there.
    """

    title: str
    what: str
    remedies: Sequence[str]
    message: str = ""
    request_id: str = ""


_ASK = "If it goes on, tell an administrator"

_PROBLEMS = {
    400: Problem(
        "This request was not understood",
        "Something in what your browser sent was missing or wrong.",
        ("Go back, reload the page and try again.",),
    ),
    401: Problem("Please sign in", "This page is for those who have signed in.", ("Sign in.",)),
    403: Problem(
        "You may not do this",
        "Your account does not have the right to see this page or to do this.",
        (
            "Check in the upper right that you have signed in with the account that you meant to.",
            "Ask an administrator, if you think that you should be allowed to.",
        ),
    ),
    404: Problem(
        "There is nothing here",
        "No page has this address, or what it was about is gone or belongs to somebody else.",
        ("Check the address for mistakes.", "Start again from your home page."),
    ),
    405: Problem(
        "This request was not understood",
        "This address does not take requests of this kind.",
        ("Go back, reload the page and try again.",),
    ),
    409: Problem(
        "This cannot be done now",
        "Something else has changed it, or is changing it at this moment.",
        ("Go back, reload the page and look at what is there now.",),
    ),
    429: Problem(
        "Too much at once",
        "More was asked for than is allowed in so short a time.",
        ("Wait a little, then try again.",),
    ),
    500: Problem(
        "Something went wrong on our side",
        "It is not your doing. What happened has been written to the server's log.",
        ("Try again.",),
    ),
    503: Problem(
        "This is not available at the moment",
        "A part of the team server that is needed for it does not answer.",
        ("Try again in a minute.",),
    ),
}

_DATABASE = Problem(
    "The database does not answer",
    "The team server runs, but cannot read or write what it keeps. Nothing was changed. Kernels "
    "and notebook servers that run go on.",
    ("Try again in a minute.",),
)

_EXPIRED = Problem(
    "This page was open for too long",
    "What it sent is not accepted any more, to protect you from other sites. Nothing was changed.",
    ("Go back, reload the page and try again.",),
)


def explain(status_code: int, message: object = "", exception: object = None) -> Problem:
    """Return what the page of an error says. Logs an id with those that are ours to look into.

    Args:
        status_code: of the answer.
        message: what is said already; JupyterHub's own words for an expired form are replaced.
        exception: what was raised, where something was.
    """
    code = int(status_code)
    said = str(message or "")
    if isinstance(exception, SQLAlchemyError | StoreError | DatabaseAway):
        found = _DATABASE
    elif code == HTTPStatus.FORBIDDEN and "xsrf" in said.lower():
        found = _EXPIRED
    elif code in _PROBLEMS:
        found = _PROBLEMS[code]
    elif code in {502, 504}:
        found = _PROBLEMS[503]
    else:
        found = _PROBLEMS[500 if code >= HTTPStatus.INTERNAL_SERVER_ERROR else 400]
    # Ours say the same, for people.
    if found in (_EXPIRED, _DATABASE) or "current scopes" in said:
        said = ""
    if code < HTTPStatus.INTERNAL_SERVER_ERROR:
        return replace(found, message=said)
    number = request_id.current() or request_id.begin()
    _log.error("Answered %d, request %s: %s", code, number, exception or said or found.title)
    last = f"{_ASK}, and give them the number {number}."
    return replace(found, remedies=(*found.remedies, last), message=said, request_id=number)
