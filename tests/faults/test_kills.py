"""`kill -9` of everything, at any moment: kernels go on, nothing is lost or there twice.

Most tests share one server of this module: what they kill comes back, and they wait until it has.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import psutil
import pytest
from aiohttp import WSMsgType
from counting import Counting
from notebook_servers import NotebookServer
from patience import AWAY, eventually, model_of, reconnect
from team import PROCESSES, Cells, Member, TeamServer, new_name, serving, tail_of_logs, wait_until
from teamhub.deployment import Deployment
from workloads import ended, leaders_of, own_pids, pids_of, processes_of, row, rows, waiting

pytestmark = pytest.mark.timeout(300)

# "slow" starts only once the file named by the variable GATE is there.
_GATED = 'while [ ! -e "$GATE" ]; do sleep 0.02; done; exec "$0" -m ipykernel_launcher -f "$1"'
SETTINGS = f"""
[environments.python3]
display_name = "Python 3"

[environments.slow]
display_name = "Slow"
argv = ["sh", "-c", '''{_GATED}''', "{{prefix}}/bin/python", "{{connection_file}}"]
sizes = ["standard"]

[environments.large]
display_name = "Large"
sizes = ["large"]

[sizes.standard]

[sizes.large]
memory = {int(psutil.virtual_memory().total * 0.6)}
"""

NO_ROOM = "1 node: no memory free for this size now"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TeamServer]:
    """A team server to kill parts of."""
    with serving(tmp_path_factory.mktemp("kills") / "data", SETTINGS) as server:
        yield server


@pytest.fixture(autouse=True)
def logs(server: TeamServer, request: pytest.FixtureRequest) -> Iterator[None]:
    """Shows the server's logs when a test has failed."""
    yield
    report = getattr(request.node, "report_call", None)
    if report is not None and report.failed:
        print("\n".join(tail_of_logs(server)))  # noqa: T201


@pytest.fixture(scope="module")
def member(server: TeamServer) -> Member:
    """A member, whose kernels each test ends or leaves alone."""
    return server.member()


async def back(server: TeamServer, process: str, before: int) -> None:
    """Return when a process that was killed has been started again and all is ready."""

    async def ready() -> bool:
        record = json.loads((server.data_dir / "run/processes.json").read_text())
        if record["children"][process]["pid"] in {None, before}:
            return False
        try:
            async with aiohttp.ClientSession() as http, http.get(readyz) as response:
                return response.status == 200
        except AWAY:
            return False

    readyz = f"{server.gateway_url}/readyz"
    await eventually(f"{process} is back", ready)


async def kept(cells: Cells) -> str:
    """Run something that leaves a trace in the kernel; return the kernel's process id."""
    result = await cells.run("import os; kept = 'by the kernel'; print(os.getpid())")
    assert result.status == "ok", result.error
    return result.text.strip()


async def still_kept(cells: Cells, pid: str) -> None:
    """Check that it is the same kernel, with its variables."""
    result = await cells.run("print(os.getpid(), kept)")
    assert result.text.strip() == f"{pid} by the kernel", result.error


def listed(server: TeamServer, member: Member) -> list[str]:
    """Return the ids of a member's living kernels, as the command line has them."""
    return [one["id"] for one in server.cli("kernels", "list", "--user", member.name)]


@pytest.mark.node
@pytest.mark.parametrize("process", PROCESSES)
async def test_a_kernel_counts_on(server: TeamServer, process: str) -> None:
    member = server.member()
    notebook = NotebookServer(server, member.name)
    await notebook.start()
    kernel_id = await member.start_kernel(name="python3")
    both = (kernel_id, notebook.workload_id())
    async with member.connect(kernel_id) as cells:
        pid = await kept(cells)
        counting = Counting(member, cells.session)
        running, ours, before = pids_of(*both), own_pids(server), server.pid_of(process)
        assert len(leaders_of(*both)) == 2
        await counting.begin(cells)
        await counting.see(cells, 20)
        server.kill(process)
        if process == "hub":
            # Nobody notices: it is not on the way from a client to a kernel.
            await back(server, process, before)
            await counting.see(cells, 20)
            await counts_to_its_end(counting, cells, pid)
        else:
            await counting.see_all(cells)
    await back(server, process, before)
    if process != "hub":
        async with reconnect(member, kernel_id, cells.session) as cells:
            await counting.see(cells, 20)
            await counts_to_its_end(counting, cells, pid)
    await notebook.answers()
    assert pids_of(*both) == running
    assert len(own_pids(server)) == len(ours)
    assert listed(server, member) == [kernel_id]
    await notebook.stop()
    await ended(both[1])


async def counts_to_its_end(counting: Counting, cells: Cells, pid: str) -> None:
    """Check that all numbers were seen, and that the kernel is the one that it was."""
    assert (await counting.end(cells)).status == "ok"
    counting.check()
    result = await cells.run("print(counted == list(range(len(counted))), len(counted))")
    assert result.text.split() == ["True", str(counting.last + 1)]
    await still_kept(cells, pid)


async def test_cells_in_a_kernel_that_starts_run_once_and_in_order(
    server: TeamServer, member: Member, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    kernel_id = await member.start_kernel(name="slow", env={"GATE": str(gate)})
    async with member.connect(kernel_id) as cells:
        asked = [await cells.ask(_noting(number)) for number in range(3)]
        await model_of(member, kernel_id, status="starting")
        await kill_gateway(server)
        await until_closed(cells)
    async with reconnect(member, kernel_id, cells.session) as cells:
        # Not yet: the kernel waits for us.
        assert (await member.kernel(kernel_id))[1]["execution_state"] == "starting"
        asked.append(await cells.ask(_noting(3)))
        gate.touch()
        results = [await cells.answer(msg_id) for msg_id in asked]
        assert [result.text for result in results] == ["0\n", "1\n", "2\n", "3\n"]
        assert (await cells.run("print(done)")).text == "[0, 1, 2, 3]\n"
    started_once(server, kernel_id)


async def test_cells_in_a_queued_kernel_run_once_and_in_order(
    server: TeamServer, member: Member
) -> None:
    first = await member.start_kernel(name="large")
    await model_of(member, first, execution_state="idle")
    kernel_id = await member.start_kernel(name="large")
    model = await model_of(member, kernel_id, status="queued", detail=NO_ROOM)
    assert model["execution_state"] == "starting"
    async with member.connect(kernel_id) as cells:
        asked = [await cells.ask(_noting(number)) for number in range(3)]
        await until_kept(server, kernel_id, 3)
        await kill_gateway(server)
        await until_closed(cells)
    assert row(server, kernel_id)["status"] == "queued"
    async with reconnect(member, kernel_id, cells.session) as cells:
        async with member.http() as http, http.delete(f"api/kernels/{first}") as response:
            assert response.status == 204
        results = [await cells.answer(msg_id) for msg_id in asked]
        assert [result.text for result in results] == ["0\n", "1\n", "2\n"]
        assert (await cells.run("print(done)")).text == "[0, 1, 2]\n"
    started_once(server, kernel_id)
    await ended(first)


async def test_right_after_post(server: TeamServer, member: Member) -> None:
    kernel_id = await member.start_kernel()
    await kill_gateway(server)
    async with reconnect(member, kernel_id, new_name("session")) as cells:
        assert (await cells.run("6 * 7")).text == "42"
    started_once(server, kernel_id)


async def test_in_the_middle_of_twenty_starts(server: TeamServer) -> None:
    member = server.member()
    posts = [asyncio.create_task(member.start_kernel()) for _ in range(20)]
    answered: set[str] = set()
    for post in asyncio.as_completed(posts):
        answered.add(await post)
        if len(answered) == 7:
            break
    await kill_gateway(server)
    # Who got no answer does not know; whoever got one has a kernel.
    for post in await asyncio.gather(*posts, return_exceptions=True):
        if isinstance(post, str):
            answered.add(post)

    async def settled() -> bool:
        return all(
            one["status"] in {"running", "stopped", "failed"}
            for one in rows(server, owner=member.name)
        )

    await eventually("all run, or have a reason", settled, 150)
    found = rows(server, owner=member.name)
    assert answered <= {one["id"] for one in found}
    assert len(found) <= 20
    assert all(one["status"] == "running" or one["reason"] for one in found), found
    running = {one["id"] for one in found if one["status"] == "running"}
    assert set(listed(server, member)) == running
    leaders = leaders_of(*(one["id"] for one in found))
    assert len(leaders) == len(running)
    assert len({leader.environ()["TEAMHUB_WORKLOAD"] for leader in leaders}) == len(running)
    async with member.http() as http:
        for kernel_id in running:
            async with http.delete(f"api/kernels/{kernel_id}") as response:
                assert response.status == 204
    await ended(*running)


async def test_a_shim_takes_its_kernel_with_it(server: TeamServer, member: Member) -> None:
    kernel_id = await member.start_kernel()
    async with member.connect(kernel_id) as cells:
        pid = int(await kept(cells))
        (shim,) = leaders_of(kernel_id)
        assert shim.pid != pid
        shim.kill()
        while (await cells.receive())["content"].get("execution_state") != "dead":
            pass
        model = await model_of(member, kernel_id, execution_state="dead")
        assert (model["status"], model["reason"]) == ("failed", "killed"), model
        assert model["detail"]
        wait_until("the kernel is gone", lambda: not psutil.pid_exists(pid))
        result = await cells.run("1")
        assert result.status == "error"
        assert model["detail"] in result.error
    await ended(kernel_id)
    assert row(server, kernel_id)["status"] == "failed"


async def test_a_killed_kernel_is_started_again_in_place(
    server: TeamServer, member: Member
) -> None:
    kernel_id = await member.start_kernel()
    async with member.connect(kernel_id) as cells:
        pid = int(await kept(cells))
        shims = [shim.pid for shim in leaders_of(kernel_id)]
        os.kill(pid, signal.SIGKILL)
        while (await cells.receive())["content"].get("execution_state") != "restarting":
            pass
        result = await cells.run("import os; print(os.getpid()); kept")
        assert "NameError" in result.error
        assert int(result.text) != pid
    assert [shim.pid for shim in leaders_of(kernel_id)] == shims
    started_once(server, kernel_id)


async def test_what_a_kernel_let_go_of_ends_with_it(member: Member) -> None:
    kernel_id = await member.start_kernel()
    async with member.connect(kernel_id) as cells:
        # A daemon: in a session of its own, its parent gone.
        result = await cells.run("import os; os.system('setsid sleep 1000 >&- 2>&- &')")
        assert result.status == "ok"

    async def sleeps() -> bool:
        return any("sleep" in process.name() for process in processes_of(kernel_id))

    await eventually("the daemon runs", sleeps)
    async with member.http() as http, http.delete(f"api/kernels/{kernel_id}") as response:
        assert response.status == 204
    await ended(kernel_id)


async def test_the_next_up_takes_over_from_a_killed_one(server: TeamServer, member: Member) -> None:
    kernel_id = await member.start_kernel()
    async with member.connect(kernel_id) as cells:
        pid = await kept(cells)
    running, ours = pids_of(kernel_id), own_pids(server)
    assert server.process is not None
    server.process.kill()
    server.process.wait()
    await asyncio.to_thread(server.start)
    assert not own_pids(server) & ours
    assert len(own_pids(server)) == len(ours)
    async with reconnect(member, kernel_id, cells.session) as cells:
        await still_kept(cells, pid)
    assert pids_of(kernel_id) == running
    started_once(server, kernel_id)


async def test_kept_kernels_have_their_variables_after_the_next_up(
    server: TeamServer, member: Member
) -> None:
    kernel_id = await member.start_kernel()
    async with member.connect(kernel_id) as cells:
        pid = await kept(cells)
    running = pids_of(kernel_id)
    assert server.process is not None
    server.cli("down", "--keep-kernels")
    assert server.process.wait(60) == 0
    assert own_pids(server) == set()
    assert pids_of(kernel_id) == running
    await asyncio.to_thread(server.start)
    async with reconnect(member, kernel_id, cells.session) as cells:
        await still_kept(cells, pid)
    assert pids_of(kernel_id) == running
    started_once(server, kernel_id)


async def test_ctrl_c_leaves_nothing(own_team: TeamServer) -> None:
    await asyncio.to_thread(own_team.start)
    member = own_team.member()
    notebook = NotebookServer(own_team, member.name)
    await notebook.start()
    kernel_id = await member.start_kernel()
    async with member.connect(kernel_id) as cells:
        await kept(cells)
    both = (kernel_id, notebook.workload_id())
    folders = {Path(leader.environ()["TEAMHUB_RUNTIME_DIR"]) for leader in leaders_of(*both)}
    assert len(folders) == 2
    # Where paths are too long for sockets, these are below the system's temporary directory.
    shared = {folder.parent for folder in folders}
    shared.add(Deployment.running(own_team.data_dir).socket_dir())
    own_team.stop()
    assert own_pids(own_team) == set()
    assert pids_of(*both) == set()
    left = [path for path in own_team.data_dir.rglob("*") if path.is_socket()]
    assert left == []
    assert not any(folder.exists() for folder in folders | shared)
    assert {one["status"] for one in rows(own_team)} == {"stopped"}


def _noting(number: int) -> str:
    return f"done = [*globals().get('done', []), {number}]; print({number})"


async def kill_gateway(server: TeamServer) -> None:
    """Kill gateway and dispatcher, and return when they are back."""
    before = server.pid_of("gateway")
    server.kill("gateway")
    await back(server, "gateway", before)


async def until_closed(cells: Cells) -> None:
    """Return when the other side has closed a websocket."""
    closed = {WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.CLOSING, WSMsgType.ERROR}
    async with asyncio.timeout(60):
        while (await cells.websocket.receive()).type not in closed:
            pass


async def until_kept(server: TeamServer, kernel_id: str, count: int) -> None:
    """Return when that many messages wait for a kernel in the store."""

    async def look() -> bool:
        return waiting(server, kernel_id) == count

    await eventually(f"{count} messages wait for {kernel_id}", look)


def started_once(server: TeamServer, kernel_id: str) -> None:
    """Check that a kernel runs, in its first attempt, once, and that nothing waits for it."""
    found = row(server, kernel_id)
    assert (found["status"], found["attempt"]) == ("running", 1)
    assert len(leaders_of(kernel_id)) == 1
    assert len([p for p in processes_of(kernel_id) if "ipykernel_launcher" in p.cmdline()]) == 1
    assert waiting(server, kernel_id) == 0
