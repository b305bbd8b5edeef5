"""REST: who may do what, what a request may say, what is answered."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from gateway_rig import GatewayRig, Member
from teamhub.disk import Disk
from teamhub.errors import StoreError
from teamhub.gateway import kernel as kernel_module
from teamhub.gateway.app import BASE
from teamhub.model import Address, Desired, Kind, Status
from teamhub.reasons import Reason
from yarl import URL

KERNEL_ROUTES = [
    ("GET", ""),
    ("DELETE", ""),
    ("POST", "/interrupt"),
    ("POST", "/restart"),
    ("GET", "/channels"),
]


def is_problem(answer: tuple[int, Any], status: int) -> str:
    """An error as Jupyter's clients expect it; return its message."""
    assert answer[0] == status, answer
    body = answer[1]
    assert set(body) == {"message", "reason", "code", "request_id"}
    assert len(body["request_id"]) == 16
    assert body["code"] == status
    assert body["reason"]
    assert body["message"]
    assert "\n" not in body["message"]
    return str(body["message"])


# Who is asking


async def test_what_needs_no_token(client: TestClient[Any, Any]) -> None:
    for path in ("/api", "/healthz"):
        async with client.get(BASE + path) as answer:
            assert answer.status == 200
    async with client.get(f"{BASE}/api") as answer:
        assert (await answer.json())["version"]


@pytest.mark.parametrize(
    "path",
    [
        "/api/me",
        "/api/status",
        "/api/kernels",
        "/api/kernelspecs",
        "/api/sessions",
        "/api/contents",
    ],
)
async def test_everything_else_needs_one(client: TestClient[Any, Any], path: str) -> None:
    for headers in ({}, {"Authorization": "token nobody"}, {"Authorization": "Basic ada-token"}):
        async with client.get(BASE + path, headers=headers) as answer:
            is_problem((answer.status, await answer.json()), 403)


async def test_the_ways_to_say_a_token(client: TestClient[Any, Any]) -> None:
    for headers in (
        {"Authorization": "token ada-token"},
        {"Authorization": "Bearer ada-token"},
        {"Authorization": "bearer  ada-token "},
    ):
        async with client.get(f"{BASE}/api/me", headers=headers) as answer:
            assert (await answer.json())["identity"]["username"] == "ada"
    async with client.get(f"{BASE}/api/me?token=ada-token") as answer:
        assert (await answer.json())["identity"]["username"] == "ada"


async def test_a_hub_that_is_away(ada: Member, rig: GatewayRig) -> None:
    rig.access.away = True
    is_problem(await ada.ask("GET", "/api/kernels"), 503)


async def test_a_foreign_kernel_is_none_on_every_route(
    ada: Member, bob: Member, rig: GatewayRig
) -> None:
    theirs = await bob.kernel()
    nothing = str(uuid.uuid4())
    for method, rest in KERNEL_ROUTES:
        foreign = is_problem(await ada.ask(method, f"/api/kernels/{theirs}{rest}"), 404)
        none = is_problem(await ada.ask(method, f"/api/kernels/{nothing}{rest}"), 404)
        assert foreign.replace(theirs, "") == none.replace(nothing, ""), "not told apart"
    session = {"path": "a.ipynb", "type": "notebook", "kernel": {"id": theirs}}
    is_problem(await ada.ask("POST", "/api/sessions", session), 404)
    _, own = await ada.ask("POST", "/api/sessions", {"path": "mine", "kernel": {}})
    change = {"kernel": {"id": theirs}}
    is_problem(await ada.ask("PATCH", f"/api/sessions/{own['id']}", change), 404)
    assert (await rig.row(theirs)).desired is Desired.RUNNING
    assert (await ada.ask("GET", "/api/kernels"))[1] == [own["kernel"]]


async def test_a_foreign_session_is_none_on_every_route(ada: Member, bob: Member) -> None:
    _, theirs = await bob.ask("POST", "/api/sessions", {"path": "a", "kernel": {}})
    for method, body in (("GET", None), ("PATCH", {"path": "b"}), ("DELETE", None)):
        is_problem(await ada.ask(method, f"/api/sessions/{theirs['id']}", body), 404)
    assert (await ada.ask("GET", "/api/sessions"))[1] == []
    assert (await bob.ask("GET", "/api/sessions"))[1] == [theirs]


async def test_a_notebook_server_is_no_kernel(ada: Member, rig: GatewayRig) -> None:
    server = await rig.store.workloads.add(Kind.SERVER, "ada", "")
    for method, rest in KERNEL_ROUTES:
        is_problem(await ada.ask(method, f"/api/kernels/{server.id}{rest}"), 404)


# Kernels


async def test_creating_is_answered_at_once(ada: Member, rig: GatewayRig) -> None:
    status, model = await ada.ask("POST", "/api/kernels", {"name": "python3", "path": "a/b"})
    assert status == 201
    assert (model["name"], model["execution_state"]) == ("python3", "starting")
    assert (model["connections"], model["status"]) == (0, "queued")
    row = await rig.row(model["id"])
    assert (row.owner, row.environment, row.size) == ("ada", "python3", "standard")
    assert row.spec["working_dir"] == str(rig.folder / "homes" / "ada" / "a" / "b")
    assert (await ada.ask("GET", f"/api/kernels/{model['id']}"))[1]["id"] == model["id"]
    assert [each["id"] for each in (await ada.ask("GET", "/api/kernels"))[1]] == [model["id"]]
    assert (await ada.ask("GET", "/api/status"))[1]["kernels"] == 1


async def test_creating_without_a_body_gives_the_default(ada: Member, rig: GatewayRig) -> None:
    status, model = await ada.ask("POST", "/api/kernels")
    assert (status, model["name"]) == (201, "python3")
    async with ada._client.post(f"{BASE}/api/kernels", data=b" \n", headers=ada._headers) as answer:
        assert answer.status == 201
        assert answer.headers["Location"].startswith(f"{BASE}/api/kernels/")


async def test_what_a_client_says_of_itself_is_not_believed(ada: Member, rig: GatewayRig) -> None:
    body = {
        "owner": "bob",
        "image": "evil",
        "size": "huge",
        "environment": "other",
        "uid": 0,
        "argv": ["sh"],
        "id": str(uuid.uuid4()),
        "env": {"KERNEL_USERNAME": "bob", "KERNEL_UID": "0", "A": "1"},
    }
    row = await rig.row(await ada.kernel(**body))
    assert (row.owner, row.size, row.environment) == ("ada", "standard", "python3")
    assert row.id != body["id"]
    assert row.spec["env"] == {"A": "1"}


@pytest.mark.parametrize(
    "path",
    ["../../etc", "/etc", "//etc", "a/../../../etc", "..", "./../..", "/../etc", "etc/."],
)
async def test_a_working_directory_is_within_the_home(
    ada: Member, rig: GatewayRig, path: str
) -> None:
    home = rig.folder / "homes" / "ada"
    row = await rig.row(await ada.kernel(path=path))
    assert row.spec["working_dir"] in {str(home), str(home / "etc")}
    _, session = await ada.ask("POST", "/api/sessions", {"path": f"{path}/n.ipynb", "kernel": {}})
    row = await rig.row(session["kernel"]["id"])
    assert row.spec["working_dir"] in {str(home), str(home / "etc")}


@pytest.mark.parametrize(
    ("env", "kept"),
    [
        ({"A": "1", "_b2": "é"}, {"A": "1", "_b2": "é"}),
        (
            {
                "TEAMHUB_X": "1",
                "JUPYTERHUB_API_TOKEN": "1",
                "KERNEL_UID": "1",
                "LD_PRELOAD": "1",
                "JPY_API_TOKEN": "1",
                "JPY_SESSION_NAME": "n",
            },
            {"JPY_SESSION_NAME": "n"},
        ),
        ({"A": "x" * 99}, {"A": "x" * 99}),
    ],
)
async def test_variables_of_the_client(
    ada: Member, rig: GatewayRig, env: dict[str, str], kept: dict[str, str]
) -> None:
    row = await rig.row(await ada.kernel(env=env))
    assert row.spec["env"] == kept


@pytest.mark.parametrize(
    "env",
    [
        {"A": "x" * 100},
        {"A": "é" * 60},
        {"A": 1},
        {"A": None},
        {"A": "a\0b"},
        {"A": "\ud800"},
        {"": "x"},
        {"1A": "x"},
        {"A=B": "x"},
        {"A\n": "x"},
        [["A", "x"]],
        "A=x",
    ],
)
async def test_variables_that_are_none(ada: Member, rig: GatewayRig, env: Any) -> None:
    assert is_problem(await ada.ask("POST", "/api/kernels", {"env": env}), 400).startswith("env")
    assert await rig.kernels() == []


async def test_the_limit_of_kernels(ada: Member, bob: Member) -> None:
    ids = [await ada.kernel() for _ in range(5)]
    assert "limit" in is_problem(await ada.ask("POST", "/api/kernels", {}), 409)
    body = {"path": "a", "kernel": {}}
    assert "limit" in is_problem(await ada.ask("POST", "/api/sessions", body), 409)
    await bob.kernel()
    assert len((await ada.ask("GET", "/api/kernels"))[1]) == 5
    assert len(set(ids)) == 5


async def test_deleting(ada: Member, rig: GatewayRig) -> None:
    kernel_id = await ada.kernel()
    assert (await ada.ask("DELETE", f"/api/kernels/{kernel_id}"))[0] == 204
    row = await rig.row(kernel_id)
    assert (row.desired, row.reason) == (Desired.STOPPED, Reason.ASKED)
    is_problem(await ada.ask("GET", f"/api/kernels/{kernel_id}"), 404)
    is_problem(await ada.ask("DELETE", f"/api/kernels/{kernel_id}"), 404)
    assert (await ada.ask("GET", "/api/kernels"))[1] == []


async def failed(rig: GatewayRig, kernel_id: str) -> None:
    await rig.advance(
        kernel_id, Status.FAILED, reason=Reason.COMMAND_NOT_FOUND.value, detail="no such command"
    )


async def model_where(ada: Member, rig: GatewayRig, kernel_id: str, state: str) -> Any:
    """The model once the gateway has heard of a change."""
    with rig.store.subscribe() as wakes:
        async with asyncio.timeout(10):
            while True:
                _, model = await ada.ask("GET", f"/api/kernels/{kernel_id}")
                if model.get("execution_state") == state:
                    return model
                # The gateway hears of it as we do, in an order that nobody promises.
                await wakes.wait(0.02)


async def test_a_failed_kernel_is_shown_with_its_reason_until_deleted(
    ada: Member, rig: GatewayRig
) -> None:
    kernel_id = await ada.kernel()
    await failed(rig, kernel_id)
    model = await model_where(ada, rig, kernel_id, "dead")
    assert (model["status"], model["reason"]) == ("failed", "command-not-found")
    assert model["detail"] == "no such command"
    assert [each["id"] for each in (await ada.ask("GET", "/api/kernels"))[1]] == [kernel_id]
    assert (await ada.ask("DELETE", f"/api/kernels/{kernel_id}"))[0] == 204
    is_problem(await ada.ask("GET", f"/api/kernels/{kernel_id}"), 404)
    await ada.kernel()  # something else changes, and the gateway looks anew
    is_problem(await ada.ask("GET", f"/api/kernels/{kernel_id}"), 404)
    assert len((await ada.ask("GET", "/api/kernels"))[1]) == 1


async def test_restarting_a_failed_kernel_is_a_new_attempt(ada: Member, rig: GatewayRig) -> None:
    kernel_id = await ada.kernel()
    await failed(rig, kernel_id)
    await model_where(ada, rig, kernel_id, "dead")
    status, model = await ada.ask("POST", f"/api/kernels/{kernel_id}/restart")
    assert (status, model["execution_state"], model["status"]) == (200, "starting", "queued")
    assert (await rig.row(kernel_id)).attempt == 2


async def test_restart_and_interrupt_of_one_that_starts(ada: Member, rig: GatewayRig) -> None:
    kernel_id = await ada.kernel()
    assert (await ada.ask("POST", f"/api/kernels/{kernel_id}/restart"))[0] == 200
    assert (await ada.ask("POST", f"/api/kernels/{kernel_id}/interrupt"))[0] == 204
    row = await rig.row(kernel_id)
    assert (row.status, row.attempt) == (Status.QUEUED, 1)


async def test_a_kernel_that_cannot_be_reached_is_not_said_to_be_restarted(
    ada: Member, rig: GatewayRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_module, "_GREETING_SECONDS", 0.1)
    kernel_id = await ada.kernel()
    await rig.advance(
        kernel_id,
        Status.RUNNING,
        address=Address("127.0.0.1", 9),
        public_key="1" * 40,
        execution_state="idle",
    )
    await model_where(ada, rig, kernel_id, "idle")
    for what in ("restart", "interrupt"):
        message = is_problem(await ada.ask("POST", f"/api/kernels/{kernel_id}/{what}"), 409)
        assert "try again" in message


# What a request may say


BAD_BODIES: list[tuple[bytes, int]] = [
    (b"{", 400),
    (b"\xff\xfe\xfa", 400),
    (b"[]", 400),
    (b'"text"', 400),
    (b"3", 400),
    (b"[" * 60_000, 400),
    (b'{"name": 3}', 400),
    (b'{"name": "\\ud800"}', 400),
    (b'{"name": "a\\u0000"}', 400),
    (b'{"path": ["a"], "name": "python3"}', 400),
    (b'{"path": "\\ud800", "kernel": {}}', 400),
    (b'{"path": "a\\u0000b", "kernel": {}}', 400),
    (b'{"name": "x' + b"y" * 3 * 1024**2 + b'"}', 413),
]


@pytest.mark.parametrize(("data", "status"), BAD_BODIES, ids=lambda each: str(each)[:20])
async def test_malformed_bodies(ada: Member, rig: GatewayRig, data: bytes, status: int) -> None:
    _, session = await ada.ask("POST", "/api/sessions", {"path": "own", "kernel": {}})
    before = await rig.kernels()
    for method, path in (
        ("POST", "/api/kernels"),
        ("POST", "/api/sessions"),
        ("PATCH", f"/api/sessions/{session['id']}"),
    ):
        is_problem(await ada.ask(method, path, data=data), status)
    assert await rig.kernels() == before


async def test_an_odd_charset_is_no_fault_of_ours(ada: Member) -> None:
    headers = {"Content-Type": "application/json; charset=nothing"}
    status, _ = await ada.ask("POST", "/api/kernels", data=b"{}", headers=headers)
    assert status == 201


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"path": ""}, 400),
        ({"path": "x" * 5000, "kernel": {}}, 400),
        ({"path": "a", "kernel": "python3"}, 400),
        ({"path": "a", "kernel": {"name": 3}}, 400),
        ({"path": "a", "kernel": {"name": "nothing"}}, 404),
        ({"path": "a", "kernel": {"id": "nothing"}}, 404),
        ({"path": "a", "kernel": {"id": 7}}, 400),
        ({"path": "a", "kernel": {}, "type": "t" * 33}, 400),
        ({"path": "a", "kernel": {}, "name": ["n"]}, 400),
        ({"notebook": "a", "kernel": {}}, 400),
    ],
)
async def test_sessions_that_cannot_be(
    ada: Member, rig: GatewayRig, body: dict[str, Any], status: int
) -> None:
    is_problem(await ada.ask("POST", "/api/sessions", body), status)
    assert await rig.kernels() == []


async def test_an_unknown_kernelspec_is_told_with_those_there_are(ada: Member) -> None:
    for answer in (
        await ada.ask("POST", "/api/kernels", {"name": "../python3"}),
        await ada.ask("GET", "/api/kernelspecs/cobol"),
    ):
        assert "there are: python3" in is_problem(answer, 404)


@pytest.mark.parametrize(
    "path",
    [
        "/api/nothing",
        "/api/kernels/",
        "/api/kernels/a/b",
        "/kernelspecs/python3/..%2f..%2f..%2fetc%2fpasswd",
        "/kernelspecs/python3/%2e%2e",
        "/kernelspecs/../teamhub.sqlite",
        "/kernelspecs/%2e%2e/teamhub.sqlite",
        "/kernelspecs/python3/nothing.png",
        "/kernelspecs/nothing/logo-64x64.png",
        "/api/kernels/%00",
        "/api/kernels/%ff",
        "/api/sessions/%0a",
    ],
)
async def test_paths_that_lead_nowhere(client: TestClient[Any, Any], path: str) -> None:
    headers = {"Authorization": "token ada-token"}
    url = URL(str(client.make_url("/")).rstrip("/") + BASE + path, encoded=True)
    async with client.session.get(url, headers=headers) as answer:
        is_problem((answer.status, await answer.json()), 404)


async def test_a_wrong_method(ada: Member) -> None:
    is_problem(await ada.ask("PUT", "/api/kernels", {}), 405)


async def test_a_websocket_address_takes_a_websocket(ada: Member) -> None:
    kernel_id = await ada.kernel()
    is_problem(await ada.ask("GET", f"/api/kernels/{kernel_id}/channels"), 400)


# Sessions


NOTEBOOK = {"path": "a.ipynb", "name": "a", "type": "notebook", "kernel": {"name": "python3"}}


async def test_a_session(ada: Member) -> None:
    status, session = await ada.ask("POST", "/api/sessions", NOTEBOOK)
    assert status == 201
    assert (session["path"], session["name"], session["type"]) == ("a.ipynb", "a", "notebook")
    assert session["notebook"] == {"path": "a.ipynb", "name": "a"}
    assert session["kernel"]["name"] == "python3"
    assert (await ada.ask("GET", f"/api/sessions/{session['id']}"))[1] == session
    assert (await ada.ask("GET", "/api/sessions"))[1] == [session]


async def test_two_that_open_a_notebook_at_once_get_one_kernel(
    ada: Member, rig: GatewayRig
) -> None:
    other = Member(await rig.start(), "ada")
    answers = await asyncio.gather(
        *((ada, other)[n % 2].ask("POST", "/api/sessions", NOTEBOOK) for n in range(6))
    )
    assert {status for status, _ in answers} == {201}
    assert len({model["id"] for _, model in answers}) == 1
    assert len({model["kernel"]["id"] for _, model in answers}) == 1
    wanted = [row for row in await rig.kernels() if row.desired is Desired.RUNNING]
    assert [row.id for row in wanted] == [answers[0][1]["kernel"]["id"]]


async def test_a_session_outlives_the_gateway(ada: Member, rig: GatewayRig) -> None:
    _, session = await ada.ask("POST", "/api/sessions", NOTEBOOK)
    other = Member(await rig.start(), "ada")
    assert (await other.ask("POST", "/api/sessions", NOTEBOOK))[1]["id"] == session["id"]
    assert len(await rig.kernels()) == 1


async def test_opening_a_notebook_whose_kernel_has_failed_starts_another(
    ada: Member, rig: GatewayRig
) -> None:
    _, session = await ada.ask("POST", "/api/sessions", NOTEBOOK)
    await failed(rig, session["kernel"]["id"])
    await model_where(ada, rig, session["kernel"]["id"], "dead")
    _, again = await ada.ask("POST", "/api/sessions", NOTEBOOK)
    assert again["id"] == session["id"]
    assert again["kernel"]["id"] != session["kernel"]["id"]


async def test_opening_with_a_kernel_of_ones_own(ada: Member, rig: GatewayRig) -> None:
    kernel_id = await ada.kernel()
    body = {**NOTEBOOK, "kernel": {"id": kernel_id}}
    for _ in range(2):
        _, session = await ada.ask("POST", "/api/sessions", body)
        assert session["kernel"]["id"] == kernel_id
    assert len(await rig.kernels()) == 1


async def test_renaming_keeps_the_kernel(ada: Member) -> None:
    _, session = await ada.ask("POST", "/api/sessions", NOTEBOOK)
    change = {"path": "b.ipynb", "name": "b"}
    status, changed = await ada.ask("PATCH", f"/api/sessions/{session['id']}", change)
    assert status == 200
    assert (changed["path"], changed["name"]) == ("b.ipynb", "b")
    assert changed["kernel"]["id"] == session["kernel"]["id"]


async def test_renaming_onto_another_session_is_refused_and_starts_nothing(
    ada: Member, rig: GatewayRig
) -> None:
    _, session = await ada.ask("POST", "/api/sessions", NOTEBOOK)
    await ada.ask("POST", "/api/sessions", {**NOTEBOOK, "path": "b.ipynb"})
    await failed(rig, session["kernel"]["id"])
    await ada.ask("DELETE", f"/api/kernels/{session['kernel']['id']}")
    _, session = await ada.ask("POST", "/api/sessions", NOTEBOOK)
    change = {"path": "b.ipynb", "kernel": {"name": "python3"}}
    await rig.store.workloads.want_stopped(session["kernel"]["id"])
    is_problem(await ada.ask("PATCH", f"/api/sessions/{session['id']}", change), 409)
    wanted = [row for row in await rig.kernels() if row.desired is Desired.RUNNING]
    assert len(wanted) == 1, "the one of b.ipynb"


async def test_deleting_a_session_ends_its_kernel_unless_another_uses_it(
    ada: Member, rig: GatewayRig
) -> None:
    _, first = await ada.ask("POST", "/api/sessions", NOTEBOOK)
    body = {**NOTEBOOK, "path": "b.ipynb", "kernel": {"id": first["kernel"]["id"]}}
    _, second = await ada.ask("POST", "/api/sessions", body)
    assert (await ada.ask("DELETE", f"/api/sessions/{first['id']}"))[0] == 204
    is_problem(await ada.ask("DELETE", f"/api/sessions/{first['id']}"), 404)
    assert (await rig.row(first["kernel"]["id"])).desired is Desired.RUNNING
    assert (await ada.ask("DELETE", f"/api/sessions/{second['id']}"))[0] == 204
    assert (await rig.row(first["kernel"]["id"])).desired is Desired.STOPPED
    assert (await ada.ask("GET", "/api/sessions"))[1] == []


async def test_deleting_a_kernel_ends_its_sessions(ada: Member) -> None:
    _, session = await ada.ask("POST", "/api/sessions", NOTEBOOK)
    await ada.ask("DELETE", f"/api/kernels/{session['kernel']['id']}")
    assert (await ada.ask("GET", "/api/sessions"))[1] == []
    is_problem(await ada.ask("GET", f"/api/sessions/{session['id']}"), 404)


# The rest


async def test_an_empty_folder_of_contents(ada: Member) -> None:
    for path in ("/api/contents", "/api/contents/"):
        status, model = await ada.ask("GET", path)
        assert (status, model["type"], model["content"]) == (200, "directory", [])


async def test_kernelspecs(ada: Member) -> None:
    status, found = await ada.ask("GET", "/api/kernelspecs")
    assert (status, found["default"]) == (200, "python3")
    one = await ada.ask("GET", "/api/kernelspecs/python3")
    assert one == (200, found["kernelspecs"]["python3"])
    for url in one[1]["resources"].values():
        async with ada._client.get(url, headers=ada._headers) as answer:
            assert answer.status == 200
            assert await answer.read()
        async with ada._client.get(url) as answer:
            assert answer.status == 403


async def test_readiness(client: TestClient[Any, Any], rig: GatewayRig) -> None:
    assert await missing(client) == (503, {"dispatcher"})
    epoch = await rig.store.lease.take("d", 60)
    assert await missing(client) == (200, set())
    rig.access.away = True
    assert await missing(client) == (503, {"hub"})
    rig.access.away = False
    assert epoch is not None
    await rig.store.lease.release(epoch)
    assert (await missing(client))[0] == 503


async def missing(client: TestClient[Any, Any]) -> tuple[int, set[str]]:
    """Ask whether the gateway is ready; return the status and which checks fail."""
    async with client.get(f"{BASE}/readyz") as answer:
        checks = (await answer.json())["checks"]
    assert set(checks) == {"database", "hub", "disk", "dispatcher"}
    return answer.status, {name for name, good in checks.items() if not good}


async def test_not_ready_where_nothing_can_be_written(
    client: TestClient[Any, Any], rig: GatewayRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rig.store.lease.take("d", 60)
    tries = 0
    full = True

    async def try_writing() -> None:
        nonlocal tries
        tries += 1
        if full:
            raise StoreError("the database cannot be written: the disk is full; make room on it")

    monkeypatch.setattr(rig.store, "try_writing", try_writing)
    for _ in range(3):
        assert await missing(client) == (503, {"database"})
    assert tries == 1, "each asked anew"
    full = False
    monkeypatch.setattr("teamhub.gateway.app._WRITING_TRIED_SECONDS", 0)
    assert await missing(client) == (200, set())


async def test_not_ready_on_a_full_disk(
    client: TestClient[Any, Any], rig: GatewayRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal of the database may have room of its own, and all is written."""
    await rig.store.lease.take("d", 60)
    monkeypatch.setattr(Disk, "of", lambda _: Disk(total_bytes=1 << 40, free_bytes=4096))
    assert await missing(client) == (503, {"disk"})


async def test_no_token_in_the_log(ada: Member, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    await ada.ask("GET", "/api/kernels?token=bob-token")
    await ada.ask("GET", "/api/x%0Aforged")
    ours = [r.getMessage() for r in caplog.records if r.name.startswith("teamhub")]
    assert len(ours) >= 2
    assert not any("-token" in line or "\n" in line for line in ours)


async def test_kernels_of_before_are_listed_by_a_new_gateway(ada: Member, rig: GatewayRig) -> None:
    kernel_id = await ada.kernel()
    other = Member(await rig.start(), "ada")
    assert [each["id"] for each in (await other.ask("GET", "/api/kernels"))[1]] == [kernel_id]


async def test_what_is_kept_of_a_session_is_bounded(ada: Member) -> None:
    long = "x" * 4097
    _, session = await ada.ask("POST", "/api/sessions", {"path": "own", "kernel": {}})
    for method, path in (("POST", "/api/sessions"), ("PATCH", f"/api/sessions/{session['id']}")):
        for more in ({"path": long}, {"notebook": {"path": long}}, {"path": "a", "name": long}):
            status, problem = await ada.ask(method, path, {"kernel": {}, **more})
            assert (status, "at most 4096" in problem["message"]) == (400, True)
