"""Whether members can have uids of their own."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from teamhub.engines.border import NO_BORDER, uid_per_member_possible
from teamhub.errors import ConfigError


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that every user can pass (pytest's own cannot be)."""
    made = Path(tempfile.mkdtemp())
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def interpreter(place: Path) -> Path:
    path = place / "bin" / "python"
    path.parent.mkdir()
    path.touch()
    path.parent.chmod(0o755)
    path.chmod(0o755)
    return path


@pytest.fixture
def as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)


def test_not_where_it_is_not_wanted(as_root: None, interpreter: Path) -> None:
    possible, reason = uid_per_member_possible("no", interpreter)
    assert not possible
    assert reason


@pytest.mark.parametrize("setting", ["auto", "yes"])
@pytest.mark.usefixtures("as_root")
def test_possible_as_root_with_everything_open(interpreter: Path, setting: str) -> None:
    possible, _ = uid_per_member_possible(setting, interpreter, interpreter.parent)
    assert possible


def test_not_without_root(interpreter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    possible, reason = uid_per_member_possible("auto", interpreter)
    assert not possible
    assert "root" in reason
    with pytest.raises(ConfigError, match=r"engine\.process\.uid_per_member: is yes, but .*root"):
        uid_per_member_possible("yes", interpreter)


@pytest.mark.usefixtures("as_root")
def test_not_through_a_closed_directory(interpreter: Path) -> None:
    interpreter.parent.chmod(0o700)
    possible, reason = uid_per_member_possible("auto", interpreter)
    assert not possible
    assert reason == f"{interpreter.parent.resolve()} is closed to other users"
    with pytest.raises(ConfigError, match="chmod o\\+x"):
        uid_per_member_possible("yes", interpreter)


@pytest.mark.usefixtures("as_root")
def test_not_with_a_closed_interpreter_or_data_directory(interpreter: Path, place: Path) -> None:
    closed = place / "data"
    closed.mkdir(mode=0o700)
    assert not uid_per_member_possible("auto", interpreter, closed)[0]
    interpreter.chmod(0o750)
    assert not uid_per_member_possible("auto", interpreter)[0]


@pytest.mark.usefixtures("as_root")
def test_what_a_link_leads_to_counts(interpreter: Path, place: Path) -> None:
    link = place / "link"
    link.symlink_to(interpreter)
    assert uid_per_member_possible("auto", link)[0]
    interpreter.parent.chmod(0o700)
    assert not uid_per_member_possible("auto", link)[0]


@pytest.mark.usefixtures("as_root")
def test_a_missing_interpreter_is_not_reachable(place: Path) -> None:
    assert not uid_per_member_possible("auto", place / "missing")[0]


def test_the_warning_says_what_it_means() -> None:
    assert "no border between members" in NO_BORDER
    assert "\n" not in NO_BORDER
