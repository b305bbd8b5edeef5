"""As whom a workload runs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from teamhub.config import Config
from teamhub.dispatcher.launches import Launches
from teamhub.errors import EngineError
from teamhub.model import Desired, Kind, Status, Workload

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def server() -> Workload:
    return Workload(
        id="w1",
        kind=Kind.SERVER,
        owner="ada",
        name="",
        environment=None,
        size=None,
        desired=Desired.RUNNING,
        status=Status.PLACED,
        attempt=1,
        created_at=NOW,
        changed_at=NOW,
        spec={"argv": ["true"], "env": {}},
    )


def test_without_uids_everything_runs_as_us(server: Workload, tmp_path: Path) -> None:
    launch = Launches(Config(data_dir=tmp_path), "d0", "g" * 40, None).make(server, None)
    assert (launch.uid, launch.gid) == (None, None)


def test_with_uids_nobody_without_an_account_runs_as_us(server: Workload, tmp_path: Path) -> None:
    launches = Launches(Config(data_dir=tmp_path), "d0", "g" * 40, 60000)
    with pytest.raises(EngineError, match="ada has no account"):
        launches.make(server, None)
    assert not (tmp_path / "homes" / "ada").exists()
