"""`kernels`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from cli_rig import Answer
from teamhub.deployment import Deployment
from teamhub.engines.directories import Directories, Directory
from teamhub.engines.logs import ended_logs
from teamhub.model import Deaths, Desired, Kind, Launch, Status, Workload
from teamhub.reasons import Reason
from teamhub.store import Store
from teamhub.store.workloads import Workloads
from teamhub.supervisor.lock import UpLock

Command = Callable[..., Answer]
IDS = ("aaaa1111-0000-4000-8000-000000000000", "aaaa2222-0000-4000-8000-000000000000")


@asynccontextmanager
async def opened(deployment: Deployment) -> Any:
    store = Store.of(deployment)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
def two_kernels(deployment: Deployment) -> None:
    async def add() -> None:
        async with opened(deployment) as store:
            for owner, workload_id in zip(("ada", "bob"), IDS, strict=True):
                await store.workloads.add(
                    Kind.KERNEL, owner, "python3", workload_id=workload_id, spec={}
                )
            await store.workloads.add(Kind.SERVER, "ada", "", spec={})

    asyncio.run(add())


@pytest.fixture
def dispatcher(deployment: Deployment) -> Iterator[None]:
    """Somebody who ends what is wanted to stop, and a lock that says a server runs."""
    lock = UpLock(deployment)
    lock.take()
    over = threading.Event()
    listening = threading.Event()

    async def work() -> None:
        async with opened(deployment) as store:
            epoch = await store.lease.take("test", 60)
            listening.set()
            with store.subscribe() as changes:
                while not over.is_set():
                    for workload in await store.workloads.living():
                        if workload.desired is Desired.STOPPED:
                            await store.workloads.advance(workload, Status.STOPPED, epoch)
                    await changes.wait(0.2)

    thread = threading.Thread(target=lambda: asyncio.run(work()))
    thread.start()
    assert listening.wait(30)
    yield
    over.set()
    thread.join(30)
    lock.release()


@pytest.mark.usefixtures("two_kernels")
def test_list(on: Command) -> None:
    everyone = on("kernels", "list", "--json").json
    assert [(kernel["id"], kernel["user"]) for kernel in everyone] == [
        (IDS[0], "ada"),
        (IDS[1], "bob"),
    ]
    assert everyone[0]["status"] == "queued"
    assert [k["id"] for k in on("kernels", "list", "--user", "bob", "--json").json] == [IDS[1]]
    assert on("kernels", "list", "--user", "eve", "--json").json == []
    table = on("kernels", "list").out.splitlines()
    assert table[0].split()[:3] == ["ID", "USER", "KERNEL"]
    assert table[1].split()[:4] == [IDS[0][:8], "ada", "python3", "queued"]


@pytest.mark.usefixtures("two_kernels", "dispatcher")
def test_stop_waits_until_it_has_ended(on: Command) -> None:
    answer = on("kernels", "stop", "AAAA1", "--json")
    assert answer.code == 0, answer.err
    (ended,) = answer.json
    assert (ended["id"], ended["status"], ended["reason"]) == (IDS[0], "stopped", "asked")
    assert [kernel["id"] for kernel in on("kernels", "list", "--json").json] == [IDS[1]]
    again = on("kernels", "stop", IDS[0])
    assert again.code == 1
    assert again.err.startswith("teamhub: kernel aaaa1111 of ada has ended already (asked")
    assert again.err.count("\n") == 1


@pytest.mark.usefixtures("two_kernels", "dispatcher")
def test_stop_wants_to_know_which(on: Command) -> None:
    both = on("kernels", "stop", "aaaa")
    assert both.code == 1
    assert "2 kernels' ids begin with 'aaaa': aaaa1111, aaaa2222; give more of it" in both.err
    assert "no kernel's id begins with 'b'" in on("kernels", "stop", "b").err
    assert "no kernel's id begins with ''" in on("kernels", "stop", "").err
    assert len(on("kernels", "list", "--json").json) == 2


@pytest.mark.usefixtures("two_kernels")
def test_stop_where_nobody_would_do_it(on: Command) -> None:
    answer = on("kernels", "stop", "aaaa1")
    assert answer.code == 4
    assert "nobody would end it: no team server is running" in answer.err


EVIL = "evil \x1b[2J\x07\u202e"
SHOWN = "evil \\x1b[2J\\x07\\u202e"


async def moved(store: Store, workload: Workload, status: Status, **values: Any) -> Workload:
    """Move a row on, as a dispatcher does."""
    epoch = await store.lease.take("test", 0)
    assert epoch is not None
    assert await store.workloads.advance(workload, status, epoch, **values)
    found = await store.workloads.get(workload.id)
    assert found is not None
    await store.lease.release(epoch)
    return found


@pytest.fixture
def failed(deployment: Deployment) -> str:
    """A kernel that failed, of somebody who gave it names that do things to terminals."""

    async def add() -> str:
        async with opened(deployment) as store:
            kernel = await store.workloads.add(
                Kind.KERNEL, "ada", "python3", environment="python3", size="standard"
            )
            await store.sessions.add("ada", f"{EVIL}.ipynb", "", "notebook", kernel.id)
            kernel = await moved(
                store,
                kernel,
                Status.FAILED,
                reason=Reason.EXITED_AT_START.value,
                detail="it exited with code 1",
                log_tail=f"one\n{EVIL}\nthree",
                node="node1",
            )
            return kernel.id

    return asyncio.run(add())


@pytest.fixture
def log(deployment: Deployment) -> Directory:
    """The log of a kernel that runs, as engine `process` keeps it."""

    async def add() -> Directory:
        async with opened(deployment) as store:
            kernel = await store.workloads.add(
                Kind.KERNEL, "ada", "python3", environment="gone", workload_id=IDS[0]
            )
            directory = Directories(deployment.data_dir, await store.deployment_id()).of(kernel.id)
            directory.path.parent.mkdir(exist_ok=True)
            directory.runtime.parent.mkdir(exist_ok=True)
            launch = Launch(
                deployment="test",
                workload_id=kernel.id,
                kind=Kind.KERNEL,
                attempt=1,
                owner="ada",
                argv=(),
                env={},
                working_dir="/",
                node="node1",
            )
            directory.create(None, None, launch)
            await moved(store, kernel, Status.RUNNING)
            return directory

    return asyncio.run(add())


def test_where_no_kernel_is(on: Command) -> None:
    answer = on("kernels", "list")
    assert (answer.code, answer.out) == (0, "")
    assert answer.err == "teamhub: no kernels are running\n"
    assert on("kernels", "list", "--json").out == "[]\n"
    assert on("kernels", "list", "--all").err == "teamhub: there is no record of a kernel\n"
    assert "of ada" in on("kernels", "list", "--user", "ada").err


def test_those_that_have_ended_are_listed_where_that_is_asked_for(on: Command, failed: str) -> None:
    assert on("kernels", "list", "--json").json == []
    (found,) = on("kernels", "list", "--all", "--json").json
    assert (found["id"], found["status"], found["reason"]) == (failed, "failed", "exited-at-start")
    assert "exited-at-start: it exited with code 1" in on("kernels", "list", "--all").out


def test_show_says_what_became_of_it_and_what_to_do(on: Command, failed: str) -> None:
    answer = on("kernels", "show", failed[:6])
    assert answer.code == 0, answer.err
    fields = dict(line.split(None, 1) for line in answer.out.splitlines() if line[:1].islower())
    assert fields["kernel"] == failed
    assert fields["user"] == "ada"
    assert fields["status"] == "failed"
    assert fields["reason"] == "exited-at-start: it exited with code 1"
    assert fields["environment"] == "python3 (Python 3)"
    assert fields["size"] == "standard: not limited"
    assert fields["node"] == "node1"
    assert Reason.EXITED_AT_START.remedy.administrator in answer.out
    assert "one" in answer.out
    assert SHOWN in answer.out
    assert answer.out.replace("\n", "").isprintable()
    about = on("kernels", "show", failed, "--json").json
    assert about["log"] == ["one", EVIL, "three"]
    assert about["remedy"]
    assert about["ended_at"]


def test_show_names_its_notebooks(on: Command, deployment: Deployment, log: Directory) -> None:
    async def open_notebook() -> None:
        async with opened(deployment) as store:
            await store.sessions.add("ada", f"{EVIL}.ipynb", "", "notebook", IDS[0])

    asyncio.run(open_notebook())
    answer = on("kernels", "show", "aaaa1")
    assert f"{SHOWN}.ipynb" in answer.out
    assert "gone (not in the settings any more)" in answer.out
    assert answer.out.replace("\n", "").isprintable()
    (notebook,) = on("kernels", "show", "aaaa1", "--json").json["notebooks"]
    assert notebook["path"] == f"{EVIL}.ipynb"


SHIMS = (
    '{"time": "2026-01-02T03:04:05.678Z", "level": "warning", "process": "shim", '
    '"message": "the kernel was killed"}'
)


def test_the_log_of_one_that_runs(on: Command, log: Directory) -> None:
    assert on("kernels", "logs", "aaaa1").err == "teamhub: kernel aaaa1111 has written nothing\n"
    log.log.write_text(f"one\n{EVIL}\n{SHIMS}\nthree\n")
    shims = "shim warning: the kernel was killed"
    assert on("kernels", "logs", "aaaa1").out.splitlines() == ["one", SHOWN, shims, "three"]
    assert on("kernels", "logs", "aaaa1", "-n", "2").out.splitlines() == [shims, "three"]
    assert on("kernels", "logs", "aaaa1", "--json").json["lines"] == ["one", EVIL, shims, "three"]


def test_reading_a_log_leaves_the_engines_socket_alone(
    on: Command, deployment: Deployment, log: Directory
) -> None:
    """The engine of the dispatcher that runs is woken through it."""
    socket = log.runtime.parent / "wake"
    socket.touch()
    before = socket.stat()
    log.log.write_text("one\n")
    assert on("kernels", "logs", "aaaa1").out == "one\n"
    assert on("kernels", "show", "aaaa1").code == 0
    assert socket.stat() == before


def test_the_log_of_one_that_has_ended(on: Command, failed: str) -> None:
    assert on("kernels", "logs", failed).out.splitlines() == ["one", SHOWN, "three"]
    assert on("kernels", "logs", failed, "-n", "1").out == "three\n"
    followed = on("kernels", "logs", failed, "-f")
    assert followed.out.splitlines() == ["one", SHOWN, "three"]
    assert "it has ended (exited-at-start: it exited with code 1)" in followed.err


def test_following_until_it_ends(
    on: Command, deployment: Deployment, log: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each look finds what the step before it has left; nothing is lost, nothing comes twice."""
    monkeypatch.setattr("teamhub.cli.workload_log._LOOK_SECONDS", 0.0)
    log.log.write_text("zero\none\nha")

    async def write(_: Store) -> None:
        with log.log.open("a") as file:
            file.write(f"lf\n{EVIL}\n")

    async def end(store: Store) -> None:
        with log.log.open("a") as file:
            file.write("last words\n")
        (kernel,) = await store.workloads.living()
        await moved(store, kernel, Status.FAILED, reason=Reason.KILLED.value)
        log.keep_log(ended_logs(deployment.data_dir))  # as the engine does then

    look = Workloads.get
    steps = [write, end]

    async def step_and_look(workloads: Workloads, workload_id: str) -> Workload | None:
        monkeypatch.setattr(Workloads, "get", look)
        store = Store.of(deployment)
        await store.open(listen=False)
        await steps.pop(0)(store)
        await store.close()
        if steps:
            monkeypatch.setattr(Workloads, "get", step_and_look)
        return await look(workloads, workload_id)

    monkeypatch.setattr(Workloads, "get", step_and_look)
    answer = on("kernels", "logs", "aaaa1", "-f", "-n", "1")
    assert answer.code == 0, answer.err
    assert answer.out.splitlines() == ["one", "half", SHOWN, "last words"]
    assert answer.err == "teamhub: it has ended (killed)\n"
    kept = on("kernels", "logs", "aaaa1")
    assert kept.out.splitlines() == ["zero", "one", "half", SHOWN, "last words"]


@pytest.mark.usefixtures("two_kernels", "dispatcher")
def test_stop_several_and_all_of_one_user(on: Command) -> None:
    nothing = on("kernels", "stop", "aaaa1", "b")
    assert nothing.code == 1
    assert len(on("kernels", "list", "--json").json) == 2
    answer = on("kernels", "stop", "--user", "BOB", "--all")
    assert answer.code == 0, answer.err
    assert "kernel aaaa2222 of bob has ended" in answer.err
    assert [one["user"] for one in on("kernels", "list", "--json").json] == ["ada"]
    assert "no kernels of bob are running" in on("kernels", "stop", "--user", "bob", "--all").err
    both = on("kernels", "stop", "aaaa1", "AAAA1111", "--json")
    assert [one["id"] for one in both.json] == [IDS[0]]


@pytest.mark.parametrize(
    "arguments", [("--all",), ("--user", "ada"), ("a", "--all"), ("a", "--user", "ada", "--all")]
)
def test_stop_wants_ids_or_a_user_and_all(on: Command, arguments: tuple[str, ...]) -> None:
    answer = on("kernels", "stop", *arguments)
    assert answer.code == 2
    assert "missing argument 'ID', or both --user NAME and --all" in answer.err
    assert answer.err.count("\n") == 1


@pytest.mark.usefixtures("two_kernels")
def test_that_it_died_and_was_started_again_is_shown(on: Command, deployment: Deployment) -> None:
    at = datetime.now(UTC)

    async def die() -> None:
        store = Store.of(deployment)
        await store.open(listen=False)
        deaths = Deaths(1, "killed by SIGKILL", at)
        await store.workloads.report_activity(IDS[0], "idle", at, deaths)
        await store.close()

    asyncio.run(die())
    said = f"restarted 1 time, last {at.astimezone():%H:%M}: killed by SIGKILL"
    assert said in on("kernels", "show", IDS[0]).out
    assert "restarted" not in on("kernels", "show", IDS[1]).out
    first, second = on("kernels", "list", "--json").json
    assert (first["deaths"], first["last_exit"]) == (1, "killed by SIGKILL")
    assert (second["deaths"], second["last_exit"]) == (0, None)
    # A table is as wide as its terminal, and here that is narrow.
    assert "restarted" in on("kernels", "list").out
