"""Finding processes, telling them apart, and ending exactly the one that is meant."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest
from teamhub.engines import processes
from teamhub.engines.leader import Leader, attempt_of
from teamhub.engines.processes import Process
from teamhub.errors import EngineError
from teamhub.model import Handle


@pytest.fixture
def sleeper() -> Iterator[int]:
    process = subprocess.Popen(
        ["/bin/sleep", "600"], start_new_session=True, env={"TEAMHUB_WORKLOAD": "d/w/1"}
    )
    yield process.pid
    process.kill()
    process.wait()


def test_a_process_is_described(sleeper: int) -> None:
    found = processes.find(sleeper, marker=True)
    assert found is not None
    assert (found.pid, found.parent, found.session) == (sleeper, os.getpid(), sleeper)
    assert (found.ended, found.uid, found.marker) == (False, os.geteuid(), "d/w/1")
    assert found in processes.snapshot()
    assert found.leads_session


def test_the_marker_is_seen_from_the_first_moment() -> None:
    """Popen returns while the kernel is still setting up the new program's environment."""
    for _ in range(50):
        environment = {"TEAMHUB_WORKLOAD": "d/w/1"}
        process = subprocess.Popen(["/bin/sleep", "600"], env=environment)
        found = processes.find(process.pid, marker=True)
        process.kill()
        process.wait()
        assert found is not None
        assert found.marker == "d/w/1"


def test_the_fallback_describes_the_same(sleeper: int, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = processes.find(sleeper, marker=True)
    monkeypatch.setattr(processes, "HAS_PROC", False)
    slow = processes.find(sleeper, marker=True)
    assert quick is not None
    assert slow is not None
    same = ("pid", "parent", "session", "ended", "uid", "marker")
    assert [getattr(quick, name) for name in same] == [getattr(slow, name) for name in same]
    assert processes.runs(sleeper, slow.started)
    assert slow.age_key > 0


@pytest.mark.parametrize("pid", [0, -1, 2**22 + 1])
def test_nobody_has_such_an_id(pid: int) -> None:
    assert processes.find(pid) is None


def test_a_zombie_has_ended_and_can_be_reaped_once() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(5)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    found = processes.find(pid)
    assert found is not None
    assert found.ended
    assert not processes.runs(pid, found.started)
    assert pid not in {process.pid for process in processes.snapshot()}
    assert not processes.send(pid, found.started, signal.SIGKILL)
    assert processes.reap(pid, "another") is None
    assert processes.reap(pid, found.started) == 5
    assert processes.reap(pid, found.started) is None


_FIRST_THREAD_ENDS = """
import ctypes, os, platform, threading, time
threading.Thread(target=time.sleep, args=(600,)).start()
print("started", flush=True)
ctypes.CDLL(None).syscall({"x86_64": 60, "aarch64": 93}[platform.machine()], 0)
"""


@pytest.mark.skipif(
    not processes.HAS_PROC or platform.machine() not in {"x86_64", "aarch64"},
    reason="a thread ends itself by a system call whose number is known for these",
)
def test_a_process_ends_with_the_last_of_its_threads() -> None:
    argv = [sys.executable, "-c", _FIRST_THREAD_ENDS]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
                assert process.poll() is None
            found = processes.find(process.pid)
            assert found is not None
            assert not found.ended
            assert processes.runs(process.pid, found.started)
            assert processes.reap(process.pid, found.started) is None
            assert processes.send(process.pid, found.started, signal.SIGKILL)
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            assert not processes.runs(process.pid, found.started)
            assert processes.reap(process.pid, found.started) == -signal.SIGKILL
        finally:
            process.kill()


def test_what_runs_and_what_is_not_ours_cannot_be_reaped(sleeper: int) -> None:
    for pid in (sleeper, 1):
        found = processes.find(pid)
        assert found is not None
        assert processes.reap(pid, found.started) is None


@pytest.mark.parametrize("has_pidfd", [True, False])
def test_a_signal_reaches_only_the_process_that_is_meant(
    sleeper: int, has_pidfd: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_pidfd:
        monkeypatch.delattr(os, "pidfd_open")
    found = processes.find(sleeper)
    assert found is not None
    assert not processes.send(sleeper, "1@another-boot", signal.SIGKILL)
    assert processes.runs(sleeper, found.started)
    assert processes.send(sleeper, found.started, signal.SIGKILL)
    os.waitid(os.P_PID, sleeper, os.WEXITED | os.WNOWAIT)
    assert not processes.send(sleeper, found.started, signal.SIGKILL)


def process(pid: int, **changes: object) -> Process:
    values: dict[str, object] = {
        "pid": pid,
        "started": f"{pid}@boot",
        "parent": 1,
        "session": pid,
        "ended": False,
        "uid": 1000,
        "marker": "",
    }
    return Process(**{**values, **changes})  # type: ignore[arg-type]


LEADER = process(100, marker="d/w/1")


def pids(*others: Process, leader: Process | None = LEADER, uid: int | None = 1000) -> set[int]:
    everything = [*others, *([leader] if leader else [])]
    found = processes.belonging(everything, "d/w/1", 100, "100@boot", uid)
    return {each.pid for each in found}


def test_the_leader_its_session_its_marked_and_their_descendants_belong_together() -> None:
    assert pids(
        process(101, session=100),
        process(102, marker="d/w/1"),
        process(103, parent=102),
        process(104, parent=103),
        process(900),
    ) == {100, 101, 102, 103, 104}


def test_another_workloads_process_never_belongs() -> None:
    assert pids(
        process(201, parent=100, marker="d/other/1"),
        process(202, parent=100, marker="d/w/2"),
        process(203, session=100, marker="e/w/1"),
        process(204, parent=201),
    ) == {100}


def test_the_calling_process_never_belongs() -> None:
    assert pids(process(os.getpid(), marker="d/w/1"), process(300, parent=os.getpid())) == {100}


def test_a_session_of_another_user_or_of_a_reused_id_does_not_count() -> None:
    assert pids(process(101, session=100, uid=0)) == {100}
    assert pids(process(101, session=100, uid=0), uid=None) == {100, 101}
    reused = process(100, started="999@boot")
    assert pids(process(101, session=100), leader=reused) == set()


def test_a_session_whose_leader_has_ended_still_counts() -> None:
    assert pids(process(101, session=100), leader=None) == {101}


def test_the_oldest_session_leader_stands_for_a_workload() -> None:
    marked = [process(9, session=1), process(20), process(12, started="3@boot")]
    assert Leader.among("w", 1, marked).pid == 12
    assert Leader.among("w", 1, marked[:1]).pid == 9


def test_a_leader_is_its_handle() -> None:
    leader = Leader("w", 2, 3, "4@boot")
    assert Leader.of(leader.handle) == leader
    for handle in (Handle("process", 1, {"pid": 1}), Handle("process", 2, leader.handle.data)):
        with pytest.raises(EngineError, match="is not mine"):
            Leader.of(handle)


@pytest.mark.parametrize(("marker", "attempt"), [("d/w/12", 12), ("d/w/x", 0), ("", 0)])
def test_the_attempt_of_a_marker(marker: str, attempt: int) -> None:
    assert attempt_of(marker) == attempt
