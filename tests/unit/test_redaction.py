"""What a log says of addresses with tokens."""

from __future__ import annotations

import logging

import pytest


@pytest.mark.parametrize(
    "text",
    [
        "GET /api/kernels?token=SECRET&a=1",
        "GET /hub/error/503?url=%2Fapi%2Fkernels%3Ftoken%3DSECRET%26a (@127.0.0.1)",
        "GET /hub/login?next=%2Fhub%2Fapi%253Ftoken%253DSECRET",
    ],
)
def test_a_token_is_left_out_however_often_it_was_escaped(text: str) -> None:
    record = logging.LogRecord("x", logging.INFO, "x", 1, "%s %d", (text, 200), None)
    assert Redacted().filter(record)
    said = record.getMessage()
    assert "SECRET" not in said
    assert said.startswith("GET /")
    assert said.endswith(" 200")
