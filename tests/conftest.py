"""What all tests share: one real team server for a run, and what a machine must have."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from team import Member, TeamServer, serving, tail_of_logs

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

_HAVE = {
    "browser": CHROMIUM is not None,
    "node": shutil.which("node") is not None,
    "root": os.geteuid() == 0,
    "faketime": shutil.which("faketime") is not None,
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this machine cannot run; where `TEAMHUB_REQUIRE` names it, run and fail."""
    required = os.environ.get("TEAMHUB_REQUIRE", "").split(",")
    for item in items:
        for need, have in _HAVE.items():
            if item.get_closest_marker(need) and not have and need not in required:
                item.add_marker(pytest.mark.skip(reason=f"this machine has no {need}"))


@pytest.fixture(scope="session")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TeamServer]:
    """A team server that all tests of a run share. Nobody stops or kills it."""
    with serving(tmp_path_factory.mktemp("team") / "data") as server:
        yield server


@pytest.fixture
def own_team(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[TeamServer]:
    """A team server of the test's own, to be killed as it likes. Not yet started."""
    server = TeamServer(tmp_path / "data")
    yield server
    report = getattr(request.node, "report_call", None)
    if report is not None and report.failed:
        print("\n".join(tail_of_logs(server)))  # noqa: T201
    server.stop()


@pytest.fixture
def member(team: TeamServer) -> Member:
    """A new member of the shared team, with a token."""
    return team.member()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Let fixtures see whether their test failed."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    setattr(item, f"report_{report.when}", report)
