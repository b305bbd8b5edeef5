"""Each check of `teamhub doctor` on what it is there to find."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from teamhub.config import Config
from teamhub.deployment import Deployment
from teamhub.doctor import CHECKS, Patient, Result, Verdict, databases, examine, machine
from teamhub.doctor.browser import Page
from teamhub.doctor.check import Check, Finding, ok
from teamhub.doctor.directory import file_system_of
from teamhub.engines.limits import ResourceLimits
from teamhub.errors import TeamhubError
from teamhub.supervisor import record
from teamhub.supervisor.lock import UpLock

OK, WARNING, PROBLEM, SKIPPED = Verdict.OK, Verdict.WARNING, Verdict.PROBLEM, Verdict.SKIPPED


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def started(data_dir: Path, migrated: Path) -> Path:
    """A data directory of a server that was started once."""
    deployment = Deployment(Config(data_dir=data_dir))
    deployment.prepare()
    deployment.secrets()
    shutil.copy(migrated, data_dir / "teamhub.sqlite")
    (data_dir / "teamhub.sqlite").chmod(0o600)
    return data_dir


async def look(name: str, data_dir: Path, settings: dict[str, Any] | None = None) -> Result:
    """Run the check of that name."""
    config = Config.model_validate({"data_dir": data_dir, **(settings or {})})
    check = next(check for check in CHECKS if check.name == name)
    (result,) = await examine(Patient(data_dir, config), [check])
    return result


def is_a(verdict: Verdict, result: Result, *words: str) -> None:
    assert result.verdict is verdict, result
    for word in words:
        assert word in result.text, result
    assert "\n" not in result.text
    # An error of ours ends with what to do.
    told = bool(result.remedy) or (verdict is PROBLEM and "; " in result.text)
    assert told == (verdict in {WARNING, PROBLEM})


# How checks are run


async def test_no_check_keeps_another_from_its_turn(data_dir: Path) -> None:
    async def broken(_: Patient) -> Finding:
        raise ZeroDivisionError("odd")

    async def refused(_: Patient) -> Finding:
        raise TeamhubError("first\nsecond")

    async def well(_: Patient) -> Finding:
        return ok("well")

    checks = [
        Check("broken", broken),
        Check("refused", refused),
        Check("live", well, live=True),
        Check("well", well),
    ]
    begun: list[str] = []
    told: list[Result] = []
    results = await examine(
        Patient(data_dir, Config(data_dir=data_dir)),
        checks,
        begin=lambda check: begun.append(check.name),
        tell=told.append,
    )
    assert begun == ["broken", "refused", "live", "well"]
    assert told == results
    assert [result.verdict for result in results] == [PROBLEM, PROBLEM, SKIPPED, OK]
    assert "ZeroDivisionError: odd" in results[0].text
    assert (results[1].text, results[1].remedy) == ("first second", "")


async def test_with_wrong_settings_the_rest_is_looked_at(data_dir: Path) -> None:
    results = await examine(Patient(data_dir, None, "t.toml: proxy.prot: no such"), CHECKS)
    found = {result.name: result for result in results}
    is_a(PROBLEM, found["settings"], "t.toml: proxy.prot: no such")
    assert found["database"].verdict is SKIPPED
    assert found["python"].verdict is OK
    assert found["disk space"].verdict is not PROBLEM


async def test_names_are_unique() -> None:
    names = [check.name for check in CHECKS]
    assert len(names) == len(set(names))


# The data directory


async def test_one_that_is_well(started: Path) -> None:
    for name in ("data directory", "disk space", "file system", "secrets", "logs", "database"):
        is_a(OK, await look(name, started))


async def test_nothing_there_yet(data_dir: Path) -> None:
    is_a(OK, await look("data directory", data_dir), "`teamhub up` makes it")
    for name in ("secrets", "logs", "database", "hub database"):
        is_a(SKIPPED, await look(name, data_dir))
    assert not data_dir.exists()


@pytest.mark.parametrize(("mode", "verdict"), [(0o777, PROBLEM), (0o755, WARNING), (0o711, OK)])
async def test_modes_of_the_directory(started: Path, mode: int, verdict: Verdict) -> None:
    started.chmod(mode)
    is_a(verdict, await look("data directory", started), f"{mode:o}")


async def test_a_file_in_its_place(data_dir: Path) -> None:
    data_dir.write_text("")
    is_a(PROBLEM, await look("data directory", data_dir), "is no directory")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
async def test_whose_it_is_counts_for_others_than_root(
    started: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("teamhub.doctor.directory.os.geteuid", lambda: 4711)
    is_a(PROBLEM, await look("data directory", started), "belongs to uid 0, this is uid 4711")


async def test_secrets_that_others_may_read(started: Path) -> None:
    secret = started / "secrets/cookie"
    secret.chmod(0o640)
    result = await look("secrets", started)
    is_a(PROBLEM, result, "secrets/cookie is open to others (mode 640)")
    assert f"chmod 600 {secret}" in result.remedy
    secret.chmod(0o600)
    (started / "secrets").chmod(0o755)
    is_a(PROBLEM, await look("secrets", started), "secrets is open to others (mode 755)")


async def test_a_secret_that_was_not_written_whole(started: Path) -> None:
    (started / "secrets/cookie").write_text("")
    is_a(PROBLEM, await look("secrets", started), "cookie is empty")


@pytest.mark.parametrize(
    ("free", "inodes", "verdict"),
    [(50 * 1024**2, 900, PROBLEM), (600 * 1024**2, 900, WARNING), (90 * 1024**3, 9, WARNING)],
)
async def test_space(
    started: Path, monkeypatch: pytest.MonkeyPatch, free: int, inodes: int, verdict: Verdict
) -> None:
    class Found:
        f_bavail, f_frsize, f_blocks = free // 4096, 4096, 100 * 1024**3 // 4096
        f_files, f_favail = 1000, inodes

    monkeypatch.setattr("teamhub.doctor.directory.os.statvfs", lambda _: Found)
    is_a(verdict, await look("disk space", started))


@pytest.mark.parametrize(("kind", "verdict"), [("nfs4", PROBLEM), ("tmpfs", WARNING)])
async def test_file_systems(
    started: Path, monkeypatch: pytest.MonkeyPatch, kind: str, verdict: Verdict
) -> None:
    monkeypatch.setattr("teamhub.doctor.directory.file_system_of", lambda _: kind)
    is_a(verdict, await look("file system", started), kind)


def test_the_file_system_is_the_innermost(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"a / ext4 rw\nb {tmp_path} xfs rw\nc {tmp_path}/in nfs rw\nd /x\n")
    assert file_system_of(tmp_path / "in" / "deep", mounts) == "nfs"
    assert file_system_of(tmp_path / "inner", mounts) == "xfs"
    assert file_system_of(Path("/usr"), mounts) == "ext4"
    assert file_system_of(Path("/"), tmp_path / "none") == ""


async def test_large_logs(started: Path) -> None:
    with (started / "logs/hub.log").open("wb") as file:
        file.truncate(3 * 1024**3)
    is_a(WARNING, await look("logs", started), "the largest is hub.log")


# The database


async def test_a_damaged_database(started: Path) -> None:
    path = started / "teamhub.sqlite"
    content = bytearray(path.read_bytes())
    content[4096:12288] = b"\x07" * 8192
    path.write_bytes(content)
    is_a(PROBLEM, await look("database", started), "is damaged")
    path.write_text("no database at all " * 100)
    is_a(PROBLEM, await look("database", started), "is damaged")


async def test_a_database_of_another_version(started: Path) -> None:
    for version, verdict in (("9999", PROBLEM), ("0001", WARNING)):
        with closing(sqlite3.connect(started / "teamhub.sqlite")) as connection, connection:
            connection.execute("UPDATE alembic_version SET version_num = ?", [version])
        is_a(verdict, await look("database", started), version)
    (started / "teamhub.sqlite").write_bytes(b"")
    is_a(WARNING, await look("database", started), "no tables yet")


async def test_a_database_that_is_locked(started: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(databases, "_BUSY_SECONDS", 0.05)
    with closing(sqlite3.connect(started / "teamhub.sqlite")) as connection:
        connection.isolation_level = None
        connection.execute("BEGIN IMMEDIATE")
        is_a(PROBLEM, await look("database", started), "is locked by another program")
        connection.execute("ROLLBACK")
    is_a(OK, await look("database", started))


async def test_a_database_that_others_may_read(started: Path) -> None:
    (started / "teamhub.sqlite").chmod(0o644)
    is_a(PROBLEM, await look("database", started), "is open to others")


# The machine


async def test_a_clock_that_was_set_back(started: Path) -> None:
    ahead = datetime.now(UTC) + timedelta(days=2)
    with closing(sqlite3.connect(started / "teamhub.sqlite")) as connection, connection:
        connection.execute(
            "INSERT INTO dispatcher_lease VALUES (1, '', 1, ?)", [f"{ahead:%Y-%m-%d %H:%M:%S.%f}"]
        )
    is_a(PROBLEM, await look("clock", started), "it was set back", f"{ahead:%Y-%m-%d}")


async def test_a_clock_before_all_time(started: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "RELEASED", datetime.now(UTC) + timedelta(days=1))
    is_a(PROBLEM, await look("clock", started), "that is in the past")


async def test_few_open_files(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.resource, "getrlimit", lambda _: (1024, 4096))
    is_a(WARNING, await look("open files", data_dir), "1024")


async def test_a_python_that_is_too_old(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_OLDEST_PYTHON", (9, 0))
    is_a(PROBLEM, await look("python", data_dir), "is too old")


async def test_a_proxy_that_is_not_there(data_dir: Path) -> None:
    result = await look("proxy", data_dir, {"proxy": {"command": ["no-such-proxy"]}})
    is_a(PROBLEM, result, "no-such-proxy is not in PATH")
    assert "npm install" in result.remedy


@pytest.mark.node
async def test_a_proxy_that_does_not_run(data_dir: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho first; echo it cannot >&2; exit 3\n")
    broken.chmod(0o755)
    result = await look("proxy", data_dir, {"proxy": {"command": [str(broken)]}})
    is_a(PROBLEM, result, "does not run: it cannot")


@pytest.mark.node
async def test_a_node_that_is_too_old(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "node").write_text("#!/bin/sh\necho v12.1.0\n")
    (tmp_path / "node").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    result = await look("proxy", data_dir, {"proxy": {"command": [sys.executable]}})
    is_a(PROBLEM, result, "v12.1.0")


# What runs


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


async def test_a_port_that_is_taken(data_dir: Path, taken: int) -> None:
    is_a(PROBLEM, await look("ports", data_dir, {"proxy": {"port": taken}}), "is in use")


async def test_nothing_runs(started: Path) -> None:
    is_a(OK, await look("processes", started), "no team server runs here")
    is_a(OK, await look("dispatcher", started), "none")
    is_a(SKIPPED, await look("address", started))


async def test_another_dispatches_here(started: Path) -> None:
    with closing(sqlite3.connect(started / "teamhub.sqlite")) as connection, connection:
        connection.execute(
            "INSERT INTO dispatcher_lease VALUES (1, 'elsewhere:1:2', 1, ?)",
            [f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f}"],
        )
    is_a(WARNING, await look("dispatcher", started), "elsewhere:1:2 dispatches")


# What members get


async def test_an_interpreter_without_ipykernel(data_dir: Path, tmp_path: Path) -> None:
    python = tmp_path / "bin/python"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -S -I "$@"\n')
    python.chmod(0o755)
    settings = {"environments": {"bare": {"display_name": "Bare", "prefix": str(tmp_path)}}}
    result = await look("environments", data_dir, settings)
    is_a(PROBLEM, result, "environments.bare: ", "cannot import ipykernel", "ModuleNotFoundError")
    assert "-m pip install ipykernel" in result.remedy


async def test_an_environment_without_its_program(data_dir: Path) -> None:
    settings = {"environments": {"x": {"display_name": "X", "argv": ["/no/such", "-f"]}}}
    is_a(PROBLEM, await look("environments", data_dir, settings), "there is no program '/no/such'")


async def test_no_border_is_a_warning(data_dir: Path) -> None:
    settings = {"engine": {"process": {"uid_per_member": "no"}}}
    is_a(WARNING, await look("members' border", data_dir, settings), "as one user")


async def test_the_network_is_left_alone_unless_asked(data_dir: Path) -> None:
    is_a(SKIPPED, await look("package index", data_dir), "--network")


async def test_an_index_out_of_reach(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, free_port: Callable[[], int]
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://me:S3CRET@127.0.0.1:{free_port()}/simple")
    check = next(check for check in CHECKS if check.name == "package index")
    patient = Patient(data_dir, Config(data_dir=data_dir), network=True)
    (result,) = await examine(patient, [check])
    is_a(WARNING, result, "cannot be reached", "me:***@127.0.0.1")
    assert "S3CRET" not in str(result)


@pytest.fixture
def free_port() -> Callable[[], int]:
    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    return find


# The browser of the trial


def test_a_form_is_found_by_a_field() -> None:
    page = Page(
        "http://h/x",
        200,
        '<form action="/search"><input name="q"></form><form action="/a?b=1&amp;c=2">'
        '<input type="hidden" name="_xsrf" value="1&quot;2"><input type="password" name="password">'
        '<input name="username" value="shown" hidden></form><input name="outside">',
        "",
    )
    form = page.form("password")
    assert form is not None
    assert form.action == "/a?b=1&c=2"
    assert form.hidden == {"_xsrf": '1"2'}
    assert form.names == {"_xsrf", "password", "username"}
    assert page.form("outside") is None


@pytest.mark.parametrize(("times", "said"), [(1, "the hub once"), (3, "the hub 3 times")])
async def test_what_had_to_be_started_again(started: Path, times: int, said: str) -> None:
    deployment = Deployment(Config(data_dir=started))
    this = psutil.Process()
    record.write(
        deployment,
        {
            "hub": record.ChildRecord(
                pid=this.pid,
                started_at=this.create_time(),
                restarts=times,
                last_exit="killed",
                last_exit_at=datetime.now(UTC),
            )
        },
        None,
    )
    lock = UpLock(deployment)
    lock.take()
    try:
        is_a(WARNING, await look("processes", started), f"were started again: {said} (killed)")
    finally:
        lock.release()


async def test_limits_are_told_in_the_words_of_the_engine(
    started: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_CGROUP", started / "none")
    found = await look("size limits", started, {"sizes": {"small": {"memory": 2**30}}})
    is_a(WARNING, found, ResourceLimits().missing)
