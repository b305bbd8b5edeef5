"""What is written about the settings: the example file, and each setting's own documentation."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from teamhub.config import Config, load
from teamhub.config.documentation import (
    Setting,
    bytes_in_words,
    example_toml,
    setting,
    settings,
    tables,
    toml,
)

EXAMPLE = Path(__file__).parents[3] / "teamhub.example.toml"
_COMMENTED_OUT = re.compile(r"^# (\w+ = .*|\[[\w.]+\])$")


def everything_in_force(text: str) -> dict[str, Any]:
    """An example with the settings that it only shows put in force."""
    return tomllib.loads("\n".join(_COMMENTED_OUT.sub(r"\1", line) for line in text.splitlines()))


def test_the_example_in_the_tree_is_the_generated_one() -> None:
    assert EXAMPLE.read_text() == example_toml(), "run `teamhub config docs --toml` into it"


def test_the_example_is_valid_and_changes_nothing() -> None:
    assert load(EXAMPLE) == Config()


@pytest.mark.parametrize("one", settings(), ids=lambda one: one.path)
def test_every_setting_is_documented_and_in_the_example(one: Setting) -> None:
    assert len(one.text) > 10
    assert one.text.endswith((".", "."))
    value: Any = everything_in_force(EXAMPLE.read_text())
    path = one.path.replace("sizes.NAME", "sizes.standard")
    for part in path.replace("environments.NAME", "environments.python3").split("."):
        assert part in value, f"{one.path} is not in {EXAMPLE.name}"
        value = value[part]


def test_every_table_is_documented() -> None:
    assert all(len(text) > 8 for text in tables().values())


def test_what_the_example_only_shows_is_valid_too() -> None:
    shown = Config.model_validate(everything_in_force(EXAMPLE.read_text()))
    assert shown.sizes["standard"].memory == 4 * 1024**3
    assert "Spawner" in shown.hub.extra


def test_values_that_were_chosen_are_set_in_the_file(tmp_path: Path) -> None:
    chosen = {
        "data_dir": "/srv/teamhub",
        "proxy.port": 8123,
        "sizes.standard.memory": "8 GiB",
        "servers.sizes": ["standard"],
    }
    path = tmp_path / "teamhub.toml"
    path.write_text(example_toml(chosen))
    config = load(path)
    assert config.data_dir == Path("/srv/teamhub")
    assert config.proxy.port == 8123
    assert config.sizes["standard"].memory == 8 * 1024**3
    assert config.servers.sizes == ("standard",)


def test_a_setting_is_found_by_the_path_of_an_entry() -> None:
    found = setting("sizes.big.cpus")
    assert found is not None
    assert found.expected == "a number greater than 0"
    assert setting("sizes.big.cpu") is None
    assert setting("proxy") is None


@pytest.mark.parametrize(
    "value",
    [True, 5, 1.5, 'a "quoted" \\ text', "Umlaut ä, tab \t, DEL \x7f", ["a", "b"], {"a": 1}, []],
)
def test_a_value_is_read_as_it_was_written(value: Any) -> None:
    assert tomllib.loads(f"x = {toml(value)}")["x"] == value


@pytest.mark.parametrize(
    ("number", "words"), [(1024**3, "1 GiB"), (1536, "1536"), (0, "0"), (2048, "2 KiB")]
)
def test_bytes_in_words(number: int, words: str) -> None:
    assert bytes_in_words(number) == words
