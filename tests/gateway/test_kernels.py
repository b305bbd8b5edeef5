"""The gateway's kernel API with real kernels, through the real proxy and hub."""

from __future__ import annotations

import asyncio

import psutil
from aiohttp import WSMsgType
from team import Member, TeamServer


async def test_a_kernel_runs_code_and_sees_its_own_home(member: Member) -> None:
    kernel_id = await member.start_kernel(name="python3")
    async with member.connect(kernel_id) as cells:
        result = await cells.run("import os; print(os.getcwd(), os.environ['USER'])")
    assert result.status == "ok"
    assert result.text.split() == [
        str(member.server.data_dir / "homes" / member.name),
        member.name,
    ]


async def test_post_answers_at_once_and_what_is_sent_early_is_run(member: Member) -> None:
    async with member.http() as http, http.post("api/kernels", json={}) as response:
        model = await response.json()
        assert response.status == 201
        assert response.headers["Location"].endswith(model["id"])
    assert model["execution_state"] == "starting"
    async with member.connect(model["id"]) as cells:
        asked = [await cells.ask(f"print({number})") for number in range(3)]
        results = [await cells.answer(msg_id) for msg_id in asked]
    assert [result.text for result in results] == ["0\n", "1\n", "2\n"]


async def test_a_foreign_kernel_is_a_404_everywhere(team: TeamServer, member: Member) -> None:
    stranger = team.member()
    kernel_id = await member.start_kernel()
    async with stranger.http() as http:
        for method, path in (
            ("GET", ""),
            ("DELETE", ""),
            ("POST", "/interrupt"),
            ("POST", "/restart"),
            ("GET", "/channels"),
        ):
            async with http.request(method, f"api/kernels/{kernel_id}{path}") as response:
                assert response.status == 404, path
                assert {"message", "reason", "code"} < set(await response.json())
        async with http.get("api/kernels") as response:
            assert await response.json() == []
    assert (await member.kernel(kernel_id))[0] == 200


async def test_no_variable_of_one_reaches_anothers_kernel(team: TeamServer) -> None:
    members = [team.member() for _ in range(2)]
    code = "import os; print(sorted(k for k in os.environ if k.startswith('MINE_')))"

    async def try_one(member: Member, number: int) -> str:
        name = f"MINE_{member.name.replace('-', '_')}_{number}"
        kernel_id = await member.start_kernel(
            env={name: "secret", "TEAMHUB_SHIM_SPEC": "{}", "KERNEL_USERNAME": "root"}
        )
        async with member.connect(kernel_id) as cells:
            result = await cells.run(code)
        assert result.text.strip() == str([name])
        return kernel_id

    tries = [try_one(member, number) for member in members for number in range(4)]
    kernels = await asyncio.gather(*tries)
    assert len(set(kernels)) == 8
    for member in members:
        async with member.connect(kernels[0 if member is members[0] else -1]) as cells:
            result = await cells.run("import os; print([k for k in os.environ])")
        assert "TEAMHUB_SHIM" not in result.text
        assert "JUPYTERHUB" not in result.text


async def test_fifty_starts_at_once_all_run(team: TeamServer) -> None:
    members = [team.member() for _ in range(2)]
    kernels = await asyncio.gather(
        *(member.start_kernel() for member in members for _ in range(25))
    )
    owners = [member for member in members for _ in range(25)]

    async def use(member: Member, kernel_id: str) -> int:
        async with member.connect(kernel_id) as cells:
            result = await cells.run("import os; print(os.getpid())", seconds=150)
            assert result.status == "ok", result.error
        async with member.http() as http, http.delete(f"api/kernels/{kernel_id}") as response:
            assert response.status == 204
        return int(result.text)

    pids = await asyncio.gather(*map(use, owners, kernels))
    assert len(set(pids)) == 50


async def test_interrupt_and_restart(member: Member) -> None:
    kernel_id = await member.start_kernel()
    async with member.connect(kernel_id) as cells, member.http() as http:
        assert (await cells.run("x = 1; import os; print(os.getpid())")).status == "ok"
        msg_id = await cells.ask("print('running', flush=True)\nwhile True: pass")
        while (await cells.receive())["header"]["msg_type"] != "stream":
            pass
        async with http.post(f"api/kernels/{kernel_id}/interrupt") as response:
            assert response.status == 204
        assert "KeyboardInterrupt" in str((await cells.answer(msg_id)).messages)
        async with http.post(f"api/kernels/{kernel_id}/restart") as response:
            assert response.status == 200
            assert (await response.json())["id"] == kernel_id
        assert "NameError" in (await cells.run("x")).error


async def test_a_deleted_kernel_leaves_nothing(member: Member) -> None:
    kernel_id = await member.start_kernel()
    async with member.connect(kernel_id) as cells:
        pid = int((await cells.run("import os; print(os.getpid())")).text)
        async with member.http() as http, http.delete(f"api/kernels/{kernel_id}") as response:
            assert response.status == 204
        while (await cells.receive())["content"].get("execution_state") != "dead":
            pass
        closed = await cells.websocket.receive(10)
        assert closed.type is WSMsgType.CLOSE, closed
    assert (await member.kernel(kernel_id))[0] == 404
    assert not psutil.pid_exists(pid)
