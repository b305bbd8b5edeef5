"""Everything that may go wrong says what to do about it, once, in the code."""

from __future__ import annotations

import inspect

import pytest
import teamhub.errors
from teamhub.errors import TeamhubError
from teamhub.reasons import REMEDIES, Reason

KINDS = [
    kind
    for _, kind in inspect.getmembers(teamhub.errors, inspect.isclass)
    if issubclass(kind, TeamhubError)
]


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_remedy(reason: Reason) -> None:
    assert reason.remedy is REMEDIES[reason]
    for text in (reason.remedy.member, reason.remedy.administrator):
        assert len(text) > 15
        assert text.endswith(".")


def test_no_remedy_is_for_a_reason_that_is_gone() -> None:
    assert set(REMEDIES) == set(Reason)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_error_has_a_remedy_of_its_own(kind: type[TeamhubError]) -> None:
    assert "remedy" in vars(kind), f"{kind.__name__} inherits one that says too little"
    assert kind.remedy.endswith(".")


def test_remedies_differ() -> None:
    texts = [
        *(one.member for one in REMEDIES.values()),
        *(one.administrator for one in REMEDIES.values()),
        *(kind.remedy for kind in KINDS),
    ]
    assert len(set(texts)) == len(texts)
