"""Sessions over HTTP: a notebook finds its kernel again, and never gets a second one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from notebook_servers import NotebookServer
from patience import model_of
from team import Member, TeamServer
from workloads import ended, pids_of, rows

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def member(team: TeamServer) -> Member:
    """One member for all tests, each of which has notebooks of its own."""
    return team.member()


@asynccontextmanager
async def asked(
    member: Member, method: str, path: str, body: Any = None
) -> AsyncIterator[aiohttp.ClientResponse]:
    """Ask for something below `api/sessions`."""
    async with (
        member.http() as http,
        http.request(method, f"api/sessions{path}", json=body) as response,
    ):
        yield response


async def opened(member: Member, path: str, **more: Any) -> dict[str, Any]:
    """Open a notebook; return its session."""
    body = {"path": path, "name": "", "type": "notebook", "kernel": {"name": "python3"}, **more}
    async with asked(member, "POST", "", body) as response:
        assert response.status == 201, await response.text()
        return dict(await response.json())


async def closed(member: Member, session: dict[str, Any]) -> None:
    """Delete a session, and see its kernel end."""
    async with asked(member, "DELETE", f"/{session['id']}") as response:
        assert response.status == 204
    assert (await member.kernel(session["kernel"]["id"]))[0] == 404
    await ended(session["kernel"]["id"])


async def test_the_same_path_has_one_kernel(member: Member) -> None:
    first = await opened(member, "same.ipynb")
    assert first["path"] == first["notebook"]["path"] == "same.ipynb"
    assert first["kernel"]["execution_state"] == "starting"
    again = await opened(member, "same.ipynb")
    assert (again["id"], again["kernel"]["id"]) == (first["id"], first["kernel"]["id"])
    async with asked(member, "GET", "") as response:
        ids = [one["id"] for one in await response.json() if one["path"] == "same.ipynb"]
    assert ids == [first["id"]]
    async with member.connect(first["kernel"]["id"]) as cells:
        result = await cells.run("import os; print(os.environ['JPY_SESSION_NAME'])")
        assert result.text == "same.ipynb\n"
    async with asked(member, "GET", f"/{first['id']}") as response:
        assert (await response.json())["kernel"]["execution_state"] == "idle"
    await closed(member, first)


async def test_a_path_that_is_opened_often_at_once_has_one_kernel(member: Member) -> None:
    before = {one["id"] for one in rows(member.server, owner=member.name)}
    found = await asyncio.gather(*(opened(member, "once.ipynb") for _ in range(8)))
    assert len({one["id"] for one in found}) == 1
    assert len({one["kernel"]["id"] for one in found}) == 1
    started = {one["id"] for one in rows(member.server, owner=member.name)} - before
    assert started == {found[0]["kernel"]["id"]}
    await closed(member, found[0])


async def test_renaming_keeps_the_kernel(member: Member) -> None:
    session = await opened(member, "old.ipynb")
    change = {"path": "folder/new.ipynb", "name": "new.ipynb"}
    async with asked(member, "PATCH", f"/{session['id']}", change) as response:
        assert response.status == 200
        changed = await response.json()
    assert {name: changed[name] for name in change} == change
    assert changed["kernel"]["id"] == session["kernel"]["id"]
    again = await opened(member, "folder/new.ipynb")
    assert again["id"] == session["id"]
    other = await opened(member, "old.ipynb")
    assert other["kernel"]["id"] != session["kernel"]["id"]
    async with asked(member, "PATCH", f"/{other['id']}", change) as response:
        assert response.status == 409, "two notebooks cannot have one path"
        assert "folder/new.ipynb" in (await response.json())["message"]
    await closed(member, session)
    await closed(member, other)


async def test_another_kernel_takes_the_place_of_the_first(member: Member) -> None:
    session = await opened(member, "changed.ipynb")
    kernel_id = await member.start_kernel()
    change = {"kernel": {"id": kernel_id}}
    async with asked(member, "PATCH", f"/{session['id']}", change) as response:
        assert response.status == 200
        changed = await response.json()
    assert (changed["id"], changed["kernel"]["id"]) == (session["id"], kernel_id)
    # Nobody uses the one before.
    assert (await member.kernel(session["kernel"]["id"]))[0] == 404
    await ended(session["kernel"]["id"])
    async with member.connect(kernel_id) as cells:
        assert (await cells.run("6 * 7")).text == "42"
    await closed(member, changed)


async def test_a_kernel_that_two_notebooks_use_ends_with_the_second(member: Member) -> None:
    first = await opened(member, "one.ipynb")
    kernel_id = first["kernel"]["id"]
    second = await opened(member, "two.ipynb", kernel={"id": kernel_id})
    assert (second["id"] != first["id"], second["kernel"]["id"]) == (True, kernel_id)
    async with asked(member, "DELETE", f"/{first['id']}") as response:
        assert response.status == 204
    assert (await member.kernel(kernel_id))[0] == 200
    await closed(member, second)


async def test_deleting_ends_session_and_kernel(member: Member) -> None:
    session = await opened(member, "deleted.ipynb")
    await model_of(member, session["kernel"]["id"], execution_state="idle")
    assert pids_of(session["kernel"]["id"])
    await closed(member, session)
    for method in ("GET", "DELETE", "PATCH"):
        async with asked(member, method, f"/{session['id']}", {}) as response:
            assert response.status == 404, method
    again = await opened(member, "deleted.ipynb")
    assert again["id"] != session["id"]
    assert again["kernel"]["id"] != session["kernel"]["id"]
    await closed(member, again)


async def test_a_deleted_kernel_takes_its_session_along(member: Member) -> None:
    session = await opened(member, "left.ipynb")
    async with (
        member.http() as http,
        http.delete(f"api/kernels/{session['kernel']['id']}") as response,
    ):
        assert response.status == 204
    async with asked(member, "GET", f"/{session['id']}") as response:
        assert response.status == 404
    await ended(session["kernel"]["id"])


async def test_a_foreign_session_is_a_404(team: TeamServer, member: Member) -> None:
    stranger = team.member()
    session = await opened(member, "mine.ipynb")
    for method in ("GET", "PATCH", "DELETE"):
        async with asked(stranger, method, f"/{session['id']}", {"name": "theirs"}) as response:
            assert response.status == 404, method
            assert {"message", "reason", "code"} < set(await response.json())
    async with asked(stranger, "GET", "") as response:
        assert await response.json() == []
    body = {"path": "mine.ipynb", "type": "notebook", "kernel": {"id": session["kernel"]["id"]}}
    async with asked(stranger, "POST", "", body) as response:
        assert response.status == 404, "a foreign kernel"
    theirs = await opened(stranger, "mine.ipynb")
    assert theirs["id"] != session["id"]
    assert theirs["kernel"]["id"] != session["kernel"]["id"]
    async with asked(member, "GET", f"/{session['id']}") as response:
        assert (await response.json())["name"] == session["name"]
    await closed(member, session)
    await closed(stranger, theirs)


async def test_what_makes_no_sense_is_refused_in_words(member: Member) -> None:
    for body in (
        {},
        {"path": ""},
        {"path": "a.ipynb", "kernel": "python3"},
        {"path": "a.ipynb", "type": 7},
    ):
        async with asked(member, "POST", "", body) as response:
            assert response.status == 400, body
            assert "should be" in (await response.json())["message"]
    body = {"path": "a.ipynb", "kernel": {"name": "cobol"}}
    async with asked(member, "POST", "", body) as response:
        assert response.status == 404
        assert "cobol" in (await response.json())["message"]


@pytest.mark.node
async def test_a_session_outlives_its_notebook_server(team: TeamServer) -> None:
    member = team.member()
    notebook = NotebookServer(team, member.name)
    await notebook.start()
    first_server = notebook.workload_id()
    headers = {"Authorization": f"token {await notebook.token()}"}
    body = {"path": "kept.ipynb", "type": "notebook", "name": "", "kernel": {"name": "python3"}}
    async with aiohttp.ClientSession(headers=headers) as browser:
        async with browser.post(f"{notebook.url}/api/sessions", json=body) as response:
            assert response.status == 201, await response.text()
            session = await response.json()
        kernel_id = session["kernel"]["id"]
        async with member.connect(kernel_id) as cells:
            result = await cells.run("import os; kept = 1; print(os.getpid())")
            pid = result.text
        running = pids_of(kernel_id)
        await notebook.stop()
        await ended(first_server)
        async with asked(member, "GET", "") as response:
            found = await response.json()
        assert [(one["id"], one["kernel"]["id"]) for one in found] == [(session["id"], kernel_id)]
        await notebook.start()
        assert notebook.workload_id() != first_server
        async with browser.get(f"{notebook.url}/api/sessions") as response:
            found = await response.json()
        assert [(one["id"], one["kernel"]["id"]) for one in found] == [(session["id"], kernel_id)]
        async with browser.post(f"{notebook.url}/api/sessions", json=body) as response:
            assert (await response.json())["kernel"]["id"] == kernel_id
        async with member.connect(kernel_id) as cells:
            assert (await cells.run("print(os.getpid(), kept)")).text == f"{pid.strip()} 1\n"
        assert pids_of(kernel_id) == running
        async with browser.delete(f"{notebook.url}/api/sessions/{session['id']}") as response:
            assert response.status == 204
    await ended(kernel_id)
    await notebook.stop()
