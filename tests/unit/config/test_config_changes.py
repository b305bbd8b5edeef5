"""What a change of the settings takes."""

from __future__ import annotations

from typing import Any

import pytest
from teamhub.config import Config, Part
from teamhub.config.changes import changes, parts_of


def config(**tables: Any) -> Config:
    return Config.model_validate(tables)


def test_equal_settings_have_no_changes() -> None:
    assert changes(Config(), Config()) == []
    assert parts_of([]) == frozenset()


@pytest.mark.parametrize(
    ("after", "path", "parts"),
    [
        (config(kernels={"per_user": 5}), "kernels.per_user", {Part.GATEWAY}),
        (config(accounts={"sign_up": "closed"}), "accounts.sign_up", {Part.HUB}),
        (config(hub={"admin": "root"}), "hub.admin", {Part.SERVER}),
        (config(proxy={"port": 9}), "proxy.port", {Part.SERVER}),
        (config(logs={"level": "debug"}), "logs.level", {Part.GATEWAY, Part.HUB}),
        (config(sizes={"standard": {"cpus": 2}}), "sizes.standard.cpus", {Part.GATEWAY, Part.HUB}),
        (
            config(sizes={"standard": {}, "big": {}}),
            "sizes.big",
            {Part.GATEWAY, Part.HUB},
        ),
        (
            config(environments={"python3": {"display_name": "Py"}}),
            "environments.python3.display_name",
            {Part.GATEWAY},
        ),
    ],
)
def test_a_change_says_what_it_takes(after: Config, path: str, parts: set[Part]) -> None:
    (found,) = changes(Config(), after)
    assert found.path == path
    assert set(found.restarts) == parts


def test_the_order_of_sizes_counts() -> None:
    before = config(sizes={"a": {}, "b": {}})
    (found,) = changes(before, config(sizes={"b": {}, "a": {}}))
    assert (found.path, found.before, found.after) == ("sizes", ["a", "b"], ["b", "a"])


def test_all_of_it_swallows_the_rest() -> None:
    found = changes(Config(), config(hub={"admin": "x"}, kernels={"per_user": 1}))
    assert len(found) == 2
    assert parts_of(found) == {Part.SERVER}


def test_an_entrys_name_may_have_dots() -> None:
    before = config(environments={"py.3.13": {"display_name": "Python"}})
    after = config(environments={"py.3.13": {"display_name": "Py"}})
    (found,) = changes(before, after)
    assert (found.path, found.restarts) == (
        "environments.py.3.13.display_name",
        (Part.GATEWAY,),
    )
