"""What a shell offers at TAB: right, quick, and silent whatever is wrong."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cli_rig import Answer, Hub
from click.shell_completion import BashComplete
from teamhub.cli.main import teamhub
from teamhub.deployment import Deployment, write_private
from teamhub.model import Kind, Status
from teamhub.reasons import Reason
from teamhub.store import Store

Command = Callable[..., Answer]
Complete = Callable[..., list[str]]


@pytest.fixture
def complete(
    deployment: Deployment,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Complete:
    """What bash is offered after these words, and nothing else that anybody sees."""

    # A completion is a process of its own, and silences its threads for good.
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)

    def ask(*words: str, data_dir: Path | None = None) -> list[str]:
        begun = words[-1]
        where = str(data_dir or deployment.data_dir)
        capsys.readouterr()
        shell = BashComplete(teamhub, {}, "teamhub", "_TEAMHUB_COMPLETE")
        of_group = 1 if words[1].startswith("-") else 2
        found = shell.get_completions(
            [*words[:of_group], "--data-dir", where, *words[of_group:-1]], begun
        )
        assert capsys.readouterr() == ("", "")
        return [item.value for item in found if not item.value.startswith("-")]

    return ask


@pytest.fixture
def people(on: Command, deployment: Deployment) -> str:
    """Two users, one who waits, a kernel and two servers. Returns the kernel's id."""
    for name in ("ada", "adam", "bob"):
        on("users", "add", name)

    async def add() -> str:
        store = Store.of(deployment)
        await store.open(listen=False)
        await store.accounts.add("eve", "h", one_time=False, admin=False, waiting=True)
        kernel = await store.workloads.add(Kind.KERNEL, "ada", "python3")
        await store.workloads.add(Kind.SERVER, "ada", "")
        await store.workloads.add(Kind.SERVER, "bob", "second")
        await store.workloads.add(Kind.SERVER, "bob", "$(reboot)")
        await store.close()
        return kernel.id

    return asyncio.run(add())


def test_names_and_ids(complete: Complete, people: str) -> None:
    assert complete("users", "reset", "a") == ["ada", "adam"]
    assert complete("users", "reset", "") == ["ada", "adam", "bob"]
    assert complete("users", "approve", "") == ["eve"]
    assert complete("users", "remove", "") == ["ada", "adam", "bob", "eve"]
    assert complete("tokens", "create", "--user", "b") == ["bob"]
    assert complete("kernels", "stop", people[:3]) == [people]
    assert complete("kernels", "show", "") == [people]
    assert complete("logs", "--user", "b") == ["bob"]
    assert complete("logs", "--kernel", people[:3]) == [people]
    assert complete("kernels", "stop", "zz") == []
    # A name that a shell would not take for a word is not offered.
    assert complete("servers", "stop", "") == ["ada", "bob/second"]


def test_kernels_that_have_ended_come_last(complete: Complete, deployment: Deployment) -> None:
    async def add() -> list[str]:
        store = Store.of(deployment)
        await store.open(listen=False)
        epoch = await store.lease.take("test", 0)
        assert epoch is not None
        added = [await store.workloads.add(Kind.KERNEL, "ada", str(one)) for one in range(4)]
        for one in added[1::2]:
            assert await store.workloads.advance(one, Status.STOPPED, epoch, reason=Reason.ASKED)
        await store.close()
        return [one.id for one in added]

    first, second, third, fourth = asyncio.run(add())
    for words in (("kernels", "show", ""), ("logs", "--kernel", "")):
        assert complete(*words) == [third, first, fourth, second]


def test_settings(complete: Complete, tmp_path: Path) -> None:
    for command in ("docs", "show"):
        found = complete("config", command, "prox", data_dir=tmp_path / "none")
        assert found[0] == "proxy"
        assert {"proxy.port", "proxy.host"} < set(found)
    assert "sizes.NAME.memory" in complete("config", "docs", "sizes")
    assert complete("config", "show", "sizes") == ["sizes"]


@pytest.mark.usefixtures("running")
def test_what_the_hub_knows(complete: Complete, people: str, hub: Hub) -> None:
    hub.knows(
        {"name": "ada"}, groups=({"name": "staff", "users": []}, {"name": "evil\n", "users": []})
    )
    listed = {"id": "a12", "user": "ada", "note": "\x1b[2J", "created": "2026-01-01T00:00:00Z"}
    hub.has_tokens("ada", listed, listed | {"id": "a13", "note": "laptop"})
    assert complete("groups", "delete", "") == ["staff"]
    # With a note that does things to terminals the id is not offered: its help is printed.
    assert complete("tokens", "revoke", "a") == ["a13"]
    assert complete("tokens", "revoke", "") == ["a13"]
    assert complete("tokens", "revoke", "--user", "ada", "") == ["a13"]
    assert hub.asked == []


WORDS = [
    ("users", "reset", ""),
    ("kernels", "stop", ""),
    ("groups", "delete", ""),
    ("tokens", "revoke", ""),
    ("servers", "stop", ""),
]


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_nothing_is_offered_where_nothing_is_known(
    complete: Complete, tmp_path: Path, deployment: Deployment, words: tuple[str, ...]
) -> None:
    assert complete(*words, data_dir=tmp_path / "none") == []
    assert not (tmp_path / "none").exists()
    (deployment.data_dir / "teamhub.sqlite").write_bytes(b"this is no database" * 1000)
    (deployment.run_dir / "ports.json").write_text("{")
    assert complete(*words) == []
    (deployment.run_dir / "settings.json").write_text("{")
    assert complete(*words) == []


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("words", [WORDS[2], WORDS[3]], ids=" ".join)
def test_a_hub_that_does_not_answer_is_not_waited_for(
    complete: Complete, deployment: Deployment, silent_port: int, words: tuple[str, ...]
) -> None:
    ports = {"proxy_api": 1, "hub": silent_port, "gateway": 1}
    write_private(deployment.run_dir / "ports.json", json.dumps(ports))
    begun = time.monotonic()
    assert complete(*words) == []
    assert time.monotonic() - begun < 5


@pytest.mark.usefixtures("people")
def test_a_database_that_takes_too_long_says_nothing_afterwards(
    complete: Complete, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its thread finds that nobody waits for it any more, and by itself prints a traceback."""
    failed: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", failed.append)
    monkeypatch.setattr("teamhub.cli.offers._SECONDS", 0.05)
    over = threading.Event()
    connect = sqlite3.connect

    def slowly(*arguments: Any, **options: Any) -> sqlite3.Connection:
        over.wait(10)
        return connect(*arguments, **options)

    monkeypatch.setattr(sqlite3, "connect", slowly)
    before = set(threading.enumerate())
    assert complete("users", "reset", "") == []
    (late,) = set(threading.enumerate()) - before
    over.set()
    late.join(10)
    assert not late.is_alive()
    assert failed == []


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port at which somebody takes what is said, and says nothing."""
    over = threading.Event()

    class Silent(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            over.wait(30)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Silent)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server.server_address[1]
    over.set()
    server.shutdown()
    thread.join()
    server.server_close()
