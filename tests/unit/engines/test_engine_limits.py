"""Limits by cgroup v2, against a directory that is laid out like one.

This shows what is written where. It does not prove what a kernel does with it: neither that a
limit holds, nor that `cgroup.kill` kills, nor that delegation works as systemd describes it.
For that a machine with a delegated cgroup v2 is needed.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from teamhub.engines.limits import CgroupLimits, ResourceLimits, delegated, find


def always(_: Path) -> bool:
    return True


def never(_: Path) -> bool:
    return False


def group(path: Path, controllers: str = "cpu io memory", handed_down: str = "") -> Path:
    path.mkdir(parents=True, exist_ok=True)
    (path / "cgroup.controllers").write_text(controllers + "\n")
    (path / "cgroup.subtree_control").write_text(handed_down + "\n")
    (path / "cgroup.procs").write_text("11\n12\n")
    return path


@pytest.fixture
def membership(tmp_path: Path) -> Path:
    path = tmp_path / "membership"
    path.write_text("1:name=systemd:/x\n0::/teamhub.service/main\n")
    return path


def test_our_own_group_is_emptied_and_hands_down(tmp_path: Path, membership: Path) -> None:
    group(tmp_path / "teamhub.service")
    own = group(tmp_path / "teamhub.service" / "main")
    assert delegated(tmp_path, membership, always) == own
    assert (own / "cgroup.subtree_control").read_text() == "+cpu +memory"
    # A real cgroup.procs would hold both; a file holds what was written last.
    assert (own / "teamhub-server" / "cgroup.procs").read_text() == "12"


def test_the_group_above_is_taken_where_that_is_what_was_delegated(
    tmp_path: Path, membership: Path
) -> None:
    above = group(tmp_path / "teamhub.service", handed_down="cpu memory")
    own = group(above / "main")
    assert delegated(tmp_path, membership, lambda path: path == above) == above
    assert not (own / "teamhub-server").exists()
    assert not (above / "teamhub-server").exists()


def test_a_tree_that_is_not_ours_is_left_alone(tmp_path: Path, membership: Path) -> None:
    above = group(tmp_path / "teamhub.service")
    group(above / "main")
    before = sorted(tmp_path.rglob("*"))
    assert delegated(tmp_path, membership, never) is None
    assert sorted(tmp_path.rglob("*")) == before


def test_without_both_controllers_there_is_no_group(tmp_path: Path, membership: Path) -> None:
    group(tmp_path / "teamhub.service" / "main", controllers="cpu")
    assert delegated(tmp_path, membership, always) is None


@pytest.mark.parametrize("text", ["9:memory:/x\n", "", "0::nonsense\n"])
def test_without_version_2_there_is_no_group(tmp_path: Path, text: str) -> None:
    membership = tmp_path / "membership"
    membership.write_text(text)
    assert delegated(tmp_path, membership, always) is None
    assert delegated(tmp_path, tmp_path / "missing", always) is None


@pytest.fixture
def childless() -> Iterator[int]:
    """A process of ours without children, which would get the same limits."""
    process = subprocess.Popen(["sleep", "600"])
    yield process.pid
    process.kill()
    process.wait()


def test_a_workload_gets_its_limits(tmp_path: Path, childless: int) -> None:
    limits = CgroupLimits(tmp_path)
    limits.apply("w", childless, 1.5, 2**30)
    made = tmp_path / "w"
    assert (made / "memory.max").read_text() == str(2**30)
    assert (made / "memory.oom.group").read_text() == "0"
    assert (made / "cpu.max").read_text() == "150000 100000"
    assert (made / "cgroup.procs").read_text() == str(childless)
    assert limits.missing == ""


def test_no_limit_is_max_and_very_little_is_the_least(tmp_path: Path) -> None:
    limits = CgroupLimits(tmp_path)
    limits.apply("all", os.getpid(), None, None)
    assert (tmp_path / "all" / "memory.max").read_text() == "max"
    assert (tmp_path / "all" / "cpu.max").read_text() == "max 100000"
    limits.apply("little", os.getpid(), 0.001, None)
    assert (tmp_path / "little" / "cpu.max").read_text() == "1000 100000"


def test_running_out_of_memory_is_known(tmp_path: Path) -> None:
    limits = CgroupLimits(tmp_path)
    made = tmp_path / "w"
    made.mkdir()
    assert not limits.out_of_memory("w")
    (made / "memory.events").write_text("low 0\nmax 3\noom 1\noom_kill 0\n")
    assert not limits.out_of_memory("w")
    (made / "memory.events").write_text("low 0\nmax 3\noom 1\noom_kill 2\n")
    assert limits.out_of_memory("w")


def test_removal_kills_and_twice_is_once(tmp_path: Path) -> None:
    limits = CgroupLimits(tmp_path)
    limits.remove("w")
    made = tmp_path / "w"
    made.mkdir()
    limits.remove("w")
    assert not made.exists()
    made.mkdir()
    (made / "cgroup.kill").touch()
    limits.remove("w")  # a file keeps the directory here; in a real group nothing does
    assert (made / "cgroup.kill").read_text() == "1"


def test_other_machines_say_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "CPUs are not limited" in ResourceLimits().missing
    monkeypatch.delattr("resource.prlimit")
    limits = ResourceLimits()
    assert "neither" in limits.missing
    limits.apply("w", os.getpid(), 1, 1)
    assert not limits.out_of_memory("w")
    limits.remove("w")


def test_a_process_that_has_ended_is_no_fault() -> None:
    ResourceLimits().apply("w", 2**22 + 1, 1, 2**30)


def test_this_machine_has_some_limits() -> None:
    assert isinstance(find(), ResourceLimits | CgroupLimits)
