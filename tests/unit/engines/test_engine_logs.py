"""The logs of workloads, as who reads them finds them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from teamhub.engines.directories import Directories
from teamhub.engines.logs import WorkloadLogs, ended_logs, forget_logs
from teamhub.model import Kind, Launch


@pytest.fixture
def directories(tmp_path: Path) -> Directories:
    made = Directories(tmp_path, "d")
    made.open()
    return made


def launch(workload_id: str) -> Launch:
    return Launch("d", workload_id, Kind.KERNEL, 1, "alice", ("x",), {}, "/", "node")


def ended(directories: Directories, workload_id: str, text: str) -> None:
    """A workload that has written something and is removed."""
    directory = directories.of(workload_id)
    directory.create(None, None, launch(workload_id))
    directory.log.write_text(text)
    directory.keep_log(ended_logs(directories.workloads.parent))
    directory.wipe()


def test_the_log_of_a_removed_workload_is_kept(directories: Directories) -> None:
    data_dir = directories.workloads.parent
    ended(directories, "w1", "first\n")
    ended(directories, "w1", "second\n")
    ended(directories, "silent", "")
    (found,) = WorkloadLogs(data_dir).find()
    assert found.ended
    assert found.path.read_text() == "second\n"
    assert found.older(1).read_text() == "first\n"
    assert found.origin.fields == {"kernel_id": "w1", "user": "alice"}
    assert directories.ids() == []


def test_the_oldest_logs_of_removed_workloads_go(directories: Directories) -> None:
    kept = ended_logs(directories.workloads.parent)
    for number in range(6):
        ended(directories, f"w{number}", "x" * 100)
        os.utime(kept / f"w{number}", (number, number))
    forget_logs(kept, keep=4)
    assert sorted(each.name for each in kept.iterdir()) == ["w2", "w3", "w4", "w5"]
    forget_logs(kept, keep_bytes=400)
    assert sorted(each.name for each in kept.iterdir()) == ["w4", "w5"]
    forget_logs(kept / "none")


def test_logs_are_found_with_whose_they_are(directories: Directories) -> None:
    data_dir = directories.workloads.parent
    logs = WorkloadLogs(data_dir)
    assert logs.find() == []
    directories.of("k1").create(None, None, launch("k1"))
    directories.of("s1").create(None, None, replace(launch("s1"), kind=Kind.SERVER))
    found = {source.path.parent.name: source for source in logs.find()}
    assert found["k1"].origin.fields == {"kernel_id": "k1", "user": "alice"}
    assert (found["k1"].origin.process, found["k1"].origin.writes) == ("kernel", "shim")
    assert found["s1"].origin.fields == {"server_id": "s1", "user": "alice"}
    assert found["s1"].origin.process == "notebook"
    directories.of("k1").wipe()
    assert [source.path.parent.name for source in logs.find()] == ["s1"]
