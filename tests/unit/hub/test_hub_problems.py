"""What a page says of an error."""

from __future__ import annotations

import logging
from http import HTTPStatus

import pytest
from sqlalchemy.exc import OperationalError
from teamhub import request_id
from teamhub.errors import StoreError
from teamhub.hub.pages.problems import DatabaseAway, TooManyAttempts, explain


@pytest.mark.parametrize("code", [each.value for each in HTTPStatus if each.value >= 400] + [599])
def test_every_status_has_words_and_something_to_do(code: int) -> None:
    problem = explain(code)
    assert problem.title
    assert problem.what.endswith(".")
    assert problem.remedies
    assert all(remedy.endswith(".") for remedy in problem.remedies)
    assert not any(character.isdigit() for character in problem.title)
    assert bool(problem.request_id) == (code >= 500), "ours to look into, and only those"


def test_what_is_ours_can_be_found_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    number = request_id.begin()
    with caplog.at_level(logging.ERROR):
        problem = explain(500, "", ValueError("the cause"))
    assert problem.request_id == number
    assert number in problem.remedies[-1]
    assert f"request {number}: the cause" in caplog.text


@pytest.mark.parametrize(
    "error", [OperationalError("", {}, Exception()), StoreError("x"), DatabaseAway(StoreError("x"))]
)
def test_database_away_is_said_whatever_the_status(error: Exception) -> None:
    assert explain(500, "", error).title == "The database does not answer"


def test_expired_form_is_said_in_our_words() -> None:
    assert "open for too long" in explain(403, "'_xsrf' argument missing from POST").title
    assert "may not" in explain(403, "").title


@pytest.mark.parametrize(("wait", "words"), [(0.2, "1 second."), (1.1, "2 seconds.")])
def test_wait_is_told_to_people_and_programs(wait: float, words: str) -> None:
    error = TooManyAttempts("failed attempts", wait)
    assert str(error.log_message).endswith(f"Too many failed attempts. Try again in {words}")
    assert error.headers["Retry-After"] == words.split(maxsplit=1)[0]
