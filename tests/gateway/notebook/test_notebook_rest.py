"""Kernels, sessions and kernelspecs through the notebook server, at a stand-in gateway."""

from __future__ import annotations

import asyncio
import re
import signal
from pathlib import Path
from typing import Any

import pytest
from notebook_standin import StandInGateway


async def test_starting_a_kernel_sends_no_environment_and_its_directory(
    notebook: Any, gateway: StandInGateway, environ: dict[str, str]
) -> None:
    (Path(environ["HOME"]) / "work").mkdir()
    status, model = await notebook.ask(
        "POST", "/api/kernels", {"name": "my-env", "path": "work/gone/too"}
    )
    assert status == 201
    assert model["execution_state"] == "starting"
    assert gateway.bodies == [{"name": "my-env", "path": "work"}]
    assert model["id"] in gateway.kernels


async def test_every_kernel_of_the_member_is_known(notebook: Any, gateway: StandInGateway) -> None:
    dead = gateway.new_kernel()
    gateway.kernels[dead] |= {"execution_state": "dead", "reason": "out-of-memory"}
    alive = gateway.new_kernel()
    status, models = await notebook.ask("GET", "/api/kernels")
    assert status == 200
    assert {model["id"]: model.get("reason") for model in models} == {
        dead: "out-of-memory",
        alive: None,
    }
    assert alive in notebook.app.kernel_manager
    del gateway.kernels[alive]
    assert (await notebook.ask("GET", f"/api/kernels/{alive}"))[0] == 404
    assert alive not in notebook.app.kernel_manager


async def test_restart_interrupt_and_delete_go_to_the_gateway(
    notebook: Any, gateway: StandInGateway
) -> None:
    # Not one that this server has heard of: it was started after the server.
    kernel_id = gateway.new_kernel()
    path = f"/api/kernels/{kernel_id}"
    assert (await notebook.ask("POST", f"{path}/restart"))[0] == 200
    assert (await notebook.ask("POST", f"{path}/interrupt"))[0] == 204
    assert (await notebook.ask("DELETE", path))[0] == 204
    assert (await notebook.ask("DELETE", path))[0] == 204
    assert gateway.kernels == {}
    assert gateway.asked("POST", "/restart") == 1
    assert gateway.asked("POST", "/interrupt") == 1


async def test_a_new_server_finds_kernel_and_session_again(
    start: Any, gateway: StandInGateway, environ: dict[str, str]
) -> None:
    (Path(environ["HOME"]) / "a b").mkdir()
    wanted = {
        "path": "a b/n.ipynb",
        "name": "n.ipynb",
        "type": "notebook",
        "kernel": {"name": "my-env"},
    }
    first = await start()
    _, session = await first.ask("POST", "/api/sessions", wanted)
    assert gateway.bodies[0]["kernel"] == {"name": "my-env", "path": "a b"}
    await start.stop(first)
    assert gateway.asked("DELETE", "") == 0
    assert len(gateway.kernels) == 1

    second = await start()
    assert session["kernel"]["id"] in second.app.kernel_manager
    status, again = await second.ask("POST", "/api/sessions", wanted)
    assert status == 201
    assert again["id"] == session["id"]
    assert again["kernel"]["id"] == session["kernel"]["id"]
    assert len(gateway.kernels) == 1


async def test_two_tabs_at_once_get_one_kernel(notebook: Any, gateway: StandInGateway) -> None:
    wanted = {"path": "n.ipynb", "name": "", "type": "notebook", "kernel": {"name": "my-env"}}
    answers = await asyncio.gather(
        *(notebook.ask("POST", "/api/sessions", wanted) for _ in range(5))
    )
    assert {status for status, _ in answers} == {201}
    assert len({model["kernel"]["id"] for _, model in answers}) == 1
    assert len(gateway.kernels) == 1


async def test_a_session_with_a_dead_kernel_is_not_reused(
    notebook: Any, gateway: StandInGateway
) -> None:
    wanted = {"path": "n.ipynb", "name": "", "type": "notebook", "kernel": {"name": "my-env"}}
    _, session = await notebook.ask("POST", "/api/sessions", wanted)
    gateway.kernels[session["kernel"]["id"]]["execution_state"] = "dead"
    _, again = await notebook.ask("POST", "/api/sessions", wanted)
    assert again["kernel"]["id"] != session["kernel"]["id"]


async def test_sessions_are_renamed_given_another_kernel_and_ended(
    notebook: Any, gateway: StandInGateway
) -> None:
    wanted = {"path": "n.ipynb", "name": "", "type": "notebook", "kernel": {}}
    _, session = await notebook.ask("POST", "/api/sessions", wanted)
    assert session["kernel"]["name"] == "team-python"
    path = f"/api/sessions/{session['id']}"
    _, renamed = await notebook.ask("PATCH", path, {"path": "m.ipynb", "name": "m.ipynb"})
    assert (renamed["path"], renamed["kernel"]["id"]) == ("m.ipynb", session["kernel"]["id"])
    _, changed = await notebook.ask("PATCH", path, {"kernel": {"name": "my-env"}})
    assert changed["kernel"]["name"] == "my-env"
    # The old kernel is ended by whoever changes it; here the stock handler does.
    assert list(gateway.kernels) == [changed["kernel"]["id"]]
    other = gateway.new_kernel()
    await notebook.ask("GET", "/api/kernels")
    _, changed = await notebook.ask("PATCH", path, {"kernel": {"id": other}})
    assert changed["kernel"]["id"] == other
    assert (await notebook.ask("GET", path))[1]["path"] == "m.ipynb"
    assert len((await notebook.ask("GET", "/api/sessions"))[1]) == 1
    assert (await notebook.ask("DELETE", path))[0] == 204
    assert gateway.kernels == {}
    assert (await notebook.ask("DELETE", path))[0] == 404


async def test_kernelspecs_and_their_logos(notebook: Any) -> None:
    status, specs = await notebook.ask("GET", "/api/kernelspecs")
    assert status == 200
    assert specs["default"] == "team-python"
    assert set(specs["kernelspecs"]) == {"team-python", "my-env"}
    logo = specs["kernelspecs"]["my-env"]["resources"]["logo-64x64"]
    assert logo == "/kernelspecs/my-env/logo-64x64.png"
    async with notebook.browser.get(logo) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "image/png"
        assert await response.read() == b"\x89PNG not really"
    _, one = await notebook.ask("GET", "/api/kernelspecs/my-env")
    assert one["resources"]["logo-64x64"] == logo
    assert (await notebook.ask("GET", "/kernelspecs/my-env/logo-1x1.png"))[0] == 404
    assert (await notebook.ask("GET", "/kernelspecs/my-env/..%2f..%2fapi%2fkernels"))[0] == 404
    assert (await notebook.ask("GET", "/api/kernelspecs/none"))[0] == 404


async def test_a_gateway_that_is_down_is_one_clear_line_and_passes(
    notebook: Any, gateway: StandInGateway
) -> None:
    await gateway.down()
    wanted = {"path": "n.ipynb", "name": "", "type": "notebook", "kernel": {"name": "my-env"}}
    answers = await asyncio.gather(
        notebook.ask("GET", "/api/kernels"),
        notebook.ask("POST", "/api/kernels", {"name": "my-env"}),
        notebook.ask("GET", "/api/kernelspecs"),
        notebook.ask("GET", "/api/sessions"),
        notebook.ask("POST", "/api/sessions", wanted),
    )
    for status, answer in answers:
        assert status == 503
        assert "cannot be reached (connection refused)" in answer["message"]
        assert "\n" not in answer["message"]
        assert "traceback" not in answer
    await gateway.up()
    assert (await notebook.ask("POST", "/api/sessions", wanted))[0] == 201


async def test_a_restarting_gateway_is_waited_for(notebook: Any, gateway: StandInGateway) -> None:
    await gateway.down()
    asking = asyncio.create_task(notebook.ask("POST", "/api/kernels", {"name": "my-env"}))
    await asyncio.sleep(0)
    await gateway.up()
    assert (await asking)[0] == 201
    assert len(gateway.kernels) == 1


async def test_the_gateways_own_words_reach_the_browser(
    notebook: Any, gateway: StandInGateway
) -> None:
    kernel_id = gateway.new_kernel()
    gateway.refuse_kernels = (409, "too-many-kernels", "You have 5 kernels, the most allowed")
    wanted = {"path": "n.ipynb", "name": "", "type": "notebook", "kernel": {"name": "my-env"}}
    for path, body in (
        ("/api/kernels", {"name": "my-env"}),
        ("/api/sessions", wanted),
        (f"/api/kernels/{kernel_id}/restart", None),
    ):
        status, answer = await notebook.ask("POST", path, body)
        assert status == 409
        assert answer["message"] == "You have 5 kernels, the most allowed"
        assert answer["reason"] == "too-many-kernels"


async def test_a_busy_kernel_keeps_the_server_from_being_idle(
    notebook: Any, gateway: StandInGateway
) -> None:
    kernel_id = gateway.new_kernel()
    before = notebook.app.kernel_manager.last_kernel_activity
    await notebook.ask("GET", "/api/kernels")
    assert notebook.app.kernel_manager.last_kernel_activity == before
    gateway.kernels[kernel_id]["execution_state"] = "busy"
    await notebook.ask("GET", "/api/kernels")
    assert notebook.app.kernel_manager.last_kernel_activity > before


async def test_interrupt_from_a_terminal_stops_like_sigterm(notebook: Any) -> None:
    assert signal.getsignal(signal.SIGINT) == notebook.app._signal_stop


async def test_each_request_has_an_id_that_is_logged(
    notebook: Any, gateway: StandInGateway, caplog: pytest.LogCaptureFixture
) -> None:
    log = notebook.app.log
    caplog.set_level("INFO")
    log.addHandler(caplog.handler)
    try:
        _, model = await notebook.ask("POST", "/api/kernels", {"name": "my-env"})
        await notebook.ask("GET", "/api/kernels")
        browser = await notebook.open(model["id"])
        await browser.send_str("echo")
        assert await browser.receive_str(timeout=20) == "echo"
    finally:
        log.removeHandler(caplog.handler)
    told = "\n".join(caplog.messages)
    assert f"Kernel {model['id']}: connected to the gateway" in told
    assert all(re.fullmatch("[0-9a-f]{16}", each) for _, _, each in gateway.ids)
    assert len({each for _, _, each in gateway.ids}) == len(gateway.ids) >= 3
    for method, path, each in gateway.ids:
        # Of what is only looked at again and again, nothing is told.
        is_told = method != "GET" or path.endswith("/channels")
        assert (f"client_request_id={each}" in told) == is_told, (method, path)
    assert f"POST /api/kernels 201 request_id={gateway.own_id} client_request_id=" in told


async def test_a_fault_of_the_gateways_is_told_with_its_id(
    notebook: Any, gateway: StandInGateway
) -> None:
    gateway.refuse_kernels = (503, "Service Unavailable", "the database is away")
    _, said = await notebook.ask("POST", "/api/kernels", {"name": "my-env"})
    assert said["message"] == f"the database is away (request {gateway.own_id})"
