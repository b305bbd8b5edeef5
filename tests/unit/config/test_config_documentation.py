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
    settings_toml,
    tables,
    toml,
    within,
)
from teamhub.errors import ConfigError

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


def test_an_own_file_sets_what_was_chosen_and_leaves_later_defaults_alone(tmp_path: Path) -> None:
    path = tmp_path / "teamhub.toml"
    path.write_text(settings_toml({"proxy.port": 8123, "environments.python3.prefix": "/opt/py"}))
    config = load(path)
    assert (config.proxy.port, config.environments["python3"].prefix) == (8123, "/opt/py")
    # What an entry must have is there; the one that was not touched is not.
    assert config.environments["python3"].display_name == "Python 3"
    assert "\n[environments.python3]\n" in path.read_text()
    assert "\n# [sizes.standard]\n" in path.read_text()
    assert "\n# admin = " in path.read_text()
    path.write_text(settings_toml({}))
    assert load(path) == Config(data_dir=tmp_path)


@pytest.mark.parametrize("path", ["proxy.prot", "sizes.big.cpu", "sizes.NAME.cpus", "proxy", ""])
def test_an_own_file_cannot_have_what_there_is_not(path: str) -> None:
    with pytest.raises(ConfigError, match="there is no such setting"):
        settings_toml({path: 1})


@pytest.mark.parametrize(
    ("wanted", "path", "there"),
    [
        ("", "proxy.port", True),
        ("proxy", "proxy.port", True),
        ("proxy.port", "proxy.port", True),
        ("prox", "proxy.port", False),
        ("proxy.port.x", "proxy.port", False),
        ("sizes.big", "sizes.NAME.cpus", True),
        ("sizes.big.cpus", "sizes.NAME.cpus", True),
        ("sizes.big.memory", "sizes.NAME.cpus", False),
        ("environments.py.3.13.env", "environments.NAME.env", True),
    ],
)
def test_within(wanted: str, path: str, there: bool) -> None:
    assert within(path, wanted) is there
