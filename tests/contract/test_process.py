"""What engine `process` promises beyond the contract of all engines."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from engine_rigs import DEADLINE_SECONDS, ProcessRig, Program, until
from teamhub.engines.directories import SOCKET_NAME_BYTES, SOCKET_PATH_BYTES
from teamhub.engines.limits import ResourceLimits
from teamhub.engines.process import ProcessEngine
from teamhub.errors import EngineError
from teamhub.model import Handle, Launch, Observed, Phase
from teamhub.reasons import Reason

OWNER = Path(__file__).with_name("owner_process.py")
ENGINE_VARIABLES = {
    "TEAMHUB_WORKLOAD",
    "TEAMHUB_ADDRESS_FILE",
    "TEAMHUB_RUNTIME_DIR",
    "TEAMHUB_WAKE_SOCKET",
}
NOBODY = 65534

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def ended(seen: Observed) -> bool:
    return seen.phase is Phase.EXITED


def ready(seen: Observed) -> bool:
    return seen.phase is Phase.READY


async def output(engine: ProcessEngine, launch: Launch) -> str:
    """What a command that ends by itself has written."""
    events = engine.events()
    handle = await engine.start(launch)
    await until(engine, handle, ended, events)
    return await engine.logs(handle)


async def owner(rig: ProcessRig, how: str, launch: Launch) -> asyncio.subprocess.Process:
    """Another process with an engine of its own, that starts a launch's command."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        str(OWNER),
        rig.deployment,
        str(rig.data_dir),
        how,
        launch.workload_id,
        *launch.argv,
        stdout=asyncio.subprocess.PIPE,
    )


# -- crashes


async def test_kill_9_of_the_owner_and_adoption_from_another_process(
    process_rig: ProcessRig,
) -> None:
    launch = process_rig.launch(Program.FAMILY)
    first = await owner(process_rig, "recorded", launch)
    assert first.stdout is not None
    async with asyncio.timeout(DEADLINE_SECONDS):
        handle = Handle.from_json(json.loads(await first.stdout.readline()))
        first.kill()
        await first.wait()

    engine = process_rig.engine()
    await engine.open()
    assert [seen.handle for seen in await engine.owned()] == [handle]
    assert await engine.start(launch) == handle
    events = engine.events()
    await until(engine, handle, ready, events)
    os.kill(handle.data["pid"], signal.SIGKILL)
    # Not our child: its end is an event all the same, its exit code nobody knows.
    seen = await until(engine, handle, ended, events)
    assert seen.exit_code is None
    await engine.remove(handle)
    assert process_rig.running(launch.workload_id) == 0
    assert list((process_rig.data_dir / "workloads").iterdir()) == []
    await engine.close()


@pytest.mark.parametrize("first_call", ["start", "owned"])
async def test_a_crash_before_the_handle_was_written_starts_nothing_twice(
    process_rig: ProcessRig, first_call: str
) -> None:
    launch = process_rig.launch(Program.READY)
    first = await owner(process_rig, "unrecorded", launch)
    async with asyncio.timeout(DEADLINE_SECONDS):
        assert await first.wait() == -signal.SIGKILL
    (running,) = process_rig.processes(launch.workload_id)

    engine = process_rig.engine()
    if first_call == "owned":
        await engine.open()
        (seen,) = await engine.owned()
        assert seen.handle is not None
        assert seen.handle.data["pid"] == running.pid
    else:
        # Without the look around of `open`, as if both came at once.
        engine.owned = nothing  # type: ignore[method-assign]
        await engine.open()
    handle = await engine.start(launch)
    assert handle.data["pid"] == running.pid
    assert process_rig.running(launch.workload_id) == 1
    await engine.remove(handle)
    await engine.close()


async def nothing() -> list[Observed]:
    return []


async def test_a_start_that_came_to_no_process_leaves_nothing(process_rig: ProcessRig) -> None:
    debris = process_rig.data_dir / "workloads" / "abc"
    debris.mkdir(parents=True)
    engine = process_rig.engine()
    await engine.open()
    assert await engine.owned() == []
    assert not debris.exists()
    await engine.close()


async def test_what_runs_without_its_directory_is_found_and_ended(
    process_rig: ProcessRig, process_engine: ProcessEngine
) -> None:
    handle = await process_rig.started(process_engine, Program.READY, Phase.READY)
    workload_id = handle.data["workload_id"]
    shutil.rmtree(process_rig.data_dir / "workloads" / workload_id)
    (seen,) = await process_engine.owned()
    assert (seen.phase, seen.handle) == (Phase.STARTING, handle)
    launch = process_rig.launch(Program.READY, workload_id=workload_id)
    assert await process_engine.start(launch) == handle
    await process_engine.remove(handle)
    assert process_rig.running(workload_id) == 0


async def test_a_lost_leader_and_directory_leave_remains_that_are_found(
    process_rig: ProcessRig, process_engine: ProcessEngine
) -> None:
    handle = await process_rig.started(process_engine, Program.FAMILY, Phase.READY)
    workload_id = handle.data["workload_id"]
    events = process_engine.events()
    os.kill(handle.data["pid"], signal.SIGKILL)
    await until(process_engine, handle, ended, events)
    shutil.rmtree(process_rig.data_dir / "workloads" / workload_id)
    assert process_rig.running(workload_id) == 1
    (seen,) = await process_engine.owned()
    # All that is left to go by is the child: it stands for the workload, to be removed.
    assert (seen.workload_id, seen.attempt) == (workload_id, 1)
    assert seen.handle is not None
    await process_engine.remove(seen.handle)
    assert process_rig.running(workload_id) == 0
    assert await process_engine.owned() == []


async def test_two_processes_start_the_same_workload_once(process_rig: ProcessRig) -> None:
    launch = process_rig.launch(Program.READY)
    owners = await asyncio.gather(*(owner(process_rig, "recorded", launch) for _ in range(2)))
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            lines = [await each.stdout.readline() for each in owners if each.stdout is not None]
        assert lines[0] == lines[1] != b""
        assert process_rig.running(launch.workload_id) == 1
    finally:
        for each in owners:
            each.kill()
            await each.wait()


# -- process ids


async def test_a_handle_whose_pid_is_another_process_is_gone(
    process_rig: ProcessRig, process_engine: ProcessEngine
) -> None:
    handle = await process_rig.started(process_engine, Program.READY, Phase.READY)
    forged = replace(handle, data={**handle.data, "started": "1@another-boot"})
    assert (await process_engine.inspect(forged)).phase is Phase.GONE
    assert await process_engine.logs(forged) == ""
    await process_engine.remove(forged)
    assert (await process_engine.inspect(handle)).phase is Phase.READY


async def test_removal_never_signals_a_process_that_has_the_pid_of_an_ended_one(
    process_rig: ProcessRig, process_engine: ProcessEngine
) -> None:
    stranger = await asyncio.create_subprocess_exec("sleep", "600", start_new_session=True)
    handle = await process_rig.started(process_engine, Program.EXITS_3, Phase.EXITED)
    # Within one tick both would have the same start: this one's process began long before.
    earlier = "1@" + handle.data["started"].partition("@")[2]
    reused = replace(handle, data={**handle.data, "pid": stranger.pid, "started": earlier})
    record = process_rig.data_dir / "workloads" / handle.data["workload_id"] / "handle.json"
    record.write_text(json.dumps(reused.to_json()))
    assert (await process_engine.inspect(reused)).phase is Phase.EXITED
    await process_engine.remove(reused)
    assert stranger.returncode is None
    assert psutil.Process(stranger.pid).status() != psutil.STATUS_ZOMBIE
    stranger.kill()
    await stranger.wait()


# -- isolation


async def test_the_environment_is_the_launchs_and_nothing_else(
    process_rig: ProcessRig, process_engine: ProcessEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_SERVER", "x")
    launches = [
        replace(
            process_rig.launch(Program.QUIET), argv=("/usr/bin/env",), env={"MINE": str(number)}
        )
        for number in range(5)
    ]
    texts = await asyncio.gather(*(output(process_engine, launch) for launch in launches))
    for number, text in enumerate(texts):
        seen = dict(line.split("=", 1) for line in text.splitlines())
        assert seen.keys() == ENGINE_VARIABLES | {"MINE"}
        assert seen["MINE"] == str(number)
        assert seen["TEAMHUB_WORKLOAD"] == f"{launches[number].label}/1"


async def test_a_launch_cannot_pretend_to_be_another(
    process_rig: ProcessRig, process_engine: ProcessEngine
) -> None:
    launch = replace(
        process_rig.launch(Program.QUIET), argv=("/usr/bin/env",), env={"TEAMHUB_WORKLOAD": "x/y/1"}
    )
    assert f"TEAMHUB_WORKLOAD={launch.label}/1\n" in await output(process_engine, launch)


async def test_no_file_of_the_server_is_open_in_a_workload(
    process_rig: ProcessRig, process_engine: ProcessEngine
) -> None:
    argv = ("/bin/ls", "/proc/self/fd")
    text = await output(process_engine, replace(process_rig.launch(Program.QUIET), argv=argv))
    assert text.split() == ["0", "1", "2", "3"]  # 3 is the directory being listed


async def test_a_workload_leads_a_session_of_its_own(
    process_rig: ProcessRig, process_engine: ProcessEngine
) -> None:
    handle = await process_rig.started(process_engine, Program.QUIET, Phase.STARTING)
    pid = handle.data["pid"]
    assert os.getsid(pid) == os.getpgid(pid) == pid


async def test_its_files_are_private_and_its_sockets_fit(
    process_rig: ProcessRig, tmp_path: Path
) -> None:
    process_rig.data_dir = tmp_path / ("long" * 40)
    engine = process_rig.engine()
    await engine.open()
    code = (
        "import os,socket;d=os.environ['TEAMHUB_RUNTIME_DIR'];print(d,flush=True);"
        f"socket.socket(socket.AF_UNIX).bind(d+'/'+'s'*{SOCKET_NAME_BYTES});"
    )
    launch = replace(process_rig.launch(Program.QUIET), argv=process_rig.python(code))
    events = engine.events()
    handle = await engine.start(launch)
    assert (await until(engine, handle, ended, events)).exit_code == 0
    runtime = Path((await engine.logs(handle)).strip())
    assert len(str(runtime)) + 1 + SOCKET_NAME_BYTES <= SOCKET_PATH_BYTES
    workload = process_rig.data_dir / "workloads" / launch.workload_id
    for path in (runtime, workload, workload / "own"):
        assert path.stat().st_mode & 0o777 == 0o700
    assert (workload / "log").stat().st_mode & 0o777 == 0o600
    await engine.remove(handle)
    assert not runtime.exists()
    assert not workload.exists()
    await engine.close()
    assert not runtime.parent.exists()


# -- ending


async def test_a_stopped_process_is_removed(
    process_rig: ProcessRig, process_engine: ProcessEngine
) -> None:
    handle = await process_rig.started(process_engine, Program.READY, Phase.READY)
    os.kill(handle.data["pid"], signal.SIGSTOP)
    process_engine._stop_timeout_seconds = 0.2
    await process_engine.remove(handle)
    assert process_rig.running(handle.data["workload_id"]) == 0


async def test_a_daemon_that_cleaned_its_environment_is_ended_too(
    process_rig: ProcessRig, process_engine: ProcessEngine
) -> None:
    code = (
        "import subprocess,time;"
        "p=subprocess.Popen(['/bin/sleep','600'],start_new_session=True,env={});"
        "print(p.pid,flush=True);p.wait()"
    )
    events = process_engine.events()
    launch = replace(
        process_rig.launch(Program.QUIET),
        argv=process_rig.python(f"import os;{_TELL}{code}"),
    )
    handle = await process_engine.start(launch)
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not (text := (await process_engine.logs(handle)).strip()):
            await anext(events)
    daemon = psutil.Process(int(text))
    await process_engine.remove(handle)
    assert not daemon.is_running() or daemon.status() == psutil.STATUS_ZOMBIE


# Replaces print by one that wakes the engine afterwards, so that a test need not look in vain.
_TELL = (
    "import socket,builtins;_p=builtins.print;"
    "builtins.print=lambda *a,**k:(_p(*a,**k),socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM)"
    ".sendto(os.environ['TEAMHUB_WORKLOAD'].split('/')[1].encode(),"
    "os.environ['TEAMHUB_WAKE_SOCKET']));"
)


async def test_directories_that_a_workload_closed_are_removed(
    process_rig: ProcessRig, process_engine: ProcessEngine
) -> None:
    script = 'cd "$TEAMHUB_RUNTIME_DIR" && mkdir -p a/b && chmod 0 a/b a . && echo closed'
    launch = replace(process_rig.launch(Program.QUIET), argv=("/bin/sh", "-c", script))
    assert await output(process_engine, launch) == "closed\n"
    await process_engine.remove(await process_engine.start(launch))
    assert await process_engine.owned() == []


# -- what it says when it cannot


@pytest.mark.parametrize("kind", ["missing", "not executable", "no program", "directory", "bare"])
async def test_commands_that_cannot_be_executed(
    process_rig: ProcessRig, process_engine: ProcessEngine, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "command"
    if kind == "directory":
        path.mkdir()
    elif kind != "missing":
        path.write_bytes(b"\x01\x02")
        path.chmod(0o755 if kind == "no program" else 0o644)
    command = "no-such-command-anywhere" if kind == "bare" else str(path)
    with pytest.raises(EngineError) as caught:
        await process_engine.start(replace(process_rig.launch(Program.QUIET), argv=(command,)))
    assert caught.value.reason is Reason.COMMAND_NOT_FOUND
    assert command in caught.value.detail


async def test_a_missing_working_directory_is_not_a_missing_command(
    process_rig: ProcessRig, process_engine: ProcessEngine
) -> None:
    launch = replace(process_rig.launch(Program.QUIET), working_dir="/no/such/directory")
    with pytest.raises(EngineError, match="/no/such/directory") as caught:
        await process_engine.start(launch)
    assert caught.value.reason is Reason.ENGINE
    assert await process_engine.owned() == []


@pytest.mark.parametrize("workload_id", ["../x", "", ".hidden", "a/b", "a" * 200])
async def test_ids_that_are_no_names_are_refused(
    process_rig: ProcessRig, process_engine: ProcessEngine, workload_id: str
) -> None:
    launch = replace(process_rig.launch(Program.QUIET), workload_id=workload_id)
    with pytest.raises(EngineError) as caught:
        await process_engine.start(launch)
    assert caught.value.reason is Reason.ENGINE


async def test_a_null_byte_is_an_engine_error(
    process_rig: ProcessRig, process_engine: ProcessEngine
) -> None:
    launch = replace(process_rig.launch(Program.QUIET), env={"A": "a\0b"})
    with pytest.raises(EngineError) as caught:
        await process_engine.start(launch)
    assert caught.value.reason is Reason.ENGINE
    assert await process_engine.owned() == []


# -- waking


async def test_a_datagram_that_names_nothing_of_ours_is_no_event(
    process_rig: ProcessRig, process_engine: ProcessEngine
) -> None:
    handle = await process_rig.started(process_engine, Program.READY, Phase.READY)
    environment = psutil.Process(handle.data["pid"]).environ()
    events = process_engine.events()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        for text in (b"", b"\xff" * 300, b"../x", b"unknown", handle.data["workload_id"].encode()):
            sender.sendto(text, environment["TEAMHUB_WAKE_SOCKET"])
    async with asyncio.timeout(DEADLINE_SECONDS):
        assert await anext(events) == handle.data["workload_id"]


# -- limits


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="needs Linux")
async def test_memory_is_limited_for_the_leader_and_its_children(
    process_rig: ProcessRig, process_engine: ProcessEngine
) -> None:
    process_engine._limits = ResourceLimits()
    events = process_engine.events()
    launch = replace(process_rig.launch(Program.FAMILY), memory_bytes=2**28)
    handle = await process_engine.start(launch)
    await until(process_engine, handle, ready, events)
    found = process_rig.processes(launch.workload_id)
    assert len(found) == 2
    for process in found:
        assert resource.prlimit(process.pid, resource.RLIMIT_DATA) == (2**28, 2**28)


async def test_a_program_that_wants_more_memory_gets_none(
    process_rig: ProcessRig, process_engine: ProcessEngine
) -> None:
    process_engine._limits = ResourceLimits()
    code = "while True:\n try: x = bytearray(2**29)\n except MemoryError: raise SystemExit(7)"
    launch = replace(
        process_rig.launch(Program.QUIET), argv=process_rig.python(code), memory_bytes=2**28
    )
    events = process_engine.events()
    handle = await process_engine.start(launch)
    assert (await until(process_engine, handle, ended, events)).exit_code == 7


async def test_the_node_says_what_is_not_enforced(process_engine: ProcessEngine) -> None:
    process_engine._limits = ResourceLimits()
    (node,) = await process_engine.nodes()
    assert "CPUs are not limited" in node.detail


# -- another user


@pytest.fixture
async def open_engine(process_rig: ProcessRig) -> AsyncIterator[ProcessEngine]:
    """An engine in a directory that other users can reach, as `uid_per_member_possible` asks."""
    process_rig.data_dir = Path(tempfile.mkdtemp())
    process_rig.data_dir.chmod(0o711)
    engine = process_rig.engine()
    await engine.open()
    yield engine
    await engine.close()
    process_rig.kill_everything()
    shutil.rmtree(process_rig.data_dir)


@pytest.fixture
def as_nobody(process_rig: ProcessRig) -> Iterator[Launch]:
    yield replace(process_rig.launch(Program.QUIET), uid=NOBODY, gid=NOBODY)


@pytest.mark.root
@needs_root
async def test_runs_as_another_user_without_our_groups(
    open_engine: ProcessEngine, as_nobody: Launch
) -> None:
    launch = replace(as_nobody, argv=("/bin/sh", "-c", "id -u; id -g; id -G"))
    text = await output(open_engine, launch)
    assert text.split() == [str(NOBODY)] * 3


@pytest.mark.root
@needs_root
async def test_another_user_reaches_its_own_part_and_no_more(
    open_engine: ProcessEngine, as_nobody: Launch, process_rig: ProcessRig
) -> None:
    script = """
        own=$(dirname "$TEAMHUB_ADDRESS_FILE")
        echo 1 > "$TEAMHUB_RUNTIME_DIR/x" && echo runtime
        echo '{"port": 4242, "ready": true}' > "$own/new" && mv "$own/new" "$TEAMHUB_ADDRESS_FILE"
        echo log >> /dev/stdout
        for f in "$own/../handle.json" "$own/../../x" "$TEAMHUB_RUNTIME_DIR/../x"; do
            (echo 1 > "$f") 2>/dev/null && echo "wrote $f"
        done
        cat "$own/../handle.json" 2>/dev/null && echo "read the handle"
        ls "$own/../.." 2>/dev/null && echo "listed the others"
        test -w "$TEAMHUB_WAKE_SOCKET" && echo wake
        exit 0
    """
    text = await output(open_engine, replace(as_nobody, argv=("/bin/sh", "-c", script)))
    assert text.split() == ["runtime", "log", "wake"]
    directory = open_engine._directories.of(as_nobody.workload_id)
    assert directory.address()[1]


@pytest.mark.root
@needs_root
async def test_another_users_workload_is_ended(
    open_engine: ProcessEngine, as_nobody: Launch, process_rig: ProcessRig
) -> None:
    launch = replace(as_nobody, argv=("/bin/sh", "-c", "setsid sleep 600 & exec sleep 600"))
    handle = await open_engine.start(launch)
    assert psutil.Process(handle.data["pid"]).uids().real == NOBODY
    await open_engine.remove(handle)
    assert process_rig.running(launch.workload_id) == 0


@pytest.mark.root
@needs_root
async def test_a_marker_that_another_user_has_set_is_not_adopted(
    open_engine: ProcessEngine, as_nobody: Launch, process_rig: ProcessRig
) -> None:
    """Else a member could put a process of theirs in the place of another's notebook server."""
    launch = replace(as_nobody, uid=None, gid=None)
    impostor = await asyncio.create_subprocess_exec(
        "/bin/sleep",
        "600",
        env={"TEAMHUB_WORKLOAD": f"{launch.label}/1"},
        start_new_session=True,
        user=NOBODY,
    )
    handle = await open_engine.start(launch)
    assert handle.data["pid"] != impostor.pid
    await impostor.wait()
    await open_engine.remove(handle)


@pytest.mark.skipif(os.geteuid() == 0, reason="as root it works")
async def test_another_user_needs_root(process_engine: ProcessEngine, as_nobody: Launch) -> None:
    with pytest.raises(EngineError, match="needs root"):
        await process_engine.start(as_nobody)
