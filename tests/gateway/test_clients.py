"""Real clients, as people have them, with a personal token each."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from typing import Any

import pytest
from jupyter_kernel_client import JupyterKernelClient
from team import ROOT, Member
from workloads import ended, processes_of, rows

pytestmark = pytest.mark.timeout(240)


@pytest.mark.node
async def test_the_javascript_client(member: Member) -> None:
    script = ROOT / "tests/js/kernel-session.mjs"
    assert (script.parent / "node_modules").is_dir(), "run ./dev test once: it installs them"
    process = await asyncio.create_subprocess_exec(
        "node",
        str(script),
        env={
            "PATH": member.server.env["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "TEAMHUB_URL": f"{member.server.gateway_url}/",
            "TEAMHUB_TOKEN": member.token,
            "TEAMHUB_DEADLINE_SECONDS": "150",
        },
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), 200)
    except TimeoutError:
        process.kill()
        raise
    report = json.loads(out.decode().splitlines()[-1])
    assert report["ok"], (report, err.decode()[-2000:])
    assert process.returncode == 0
    assert report["specs"] == ["python3"]
    assert [step["name"] for step in report["steps"]] == [
        "list kernelspecs",
        "start",
        "execute",
        "input",
        "interrupt",
        "restart",
        "shutdown",
        "session",
    ]
    await nothing_is_left(member, kernels=2)


async def test_jupyter_kernel_client(member: Member) -> None:
    await asyncio.to_thread(use_jupyter_kernel_client, member, member.server.gateway_url)
    await nothing_is_left(member, kernels=1)


async def test_jupyter_kernel_client_takes_up_a_kernel_and_leaves_it(member: Member) -> None:
    kernel_id = await member.start_kernel()
    async with member.connect(kernel_id) as cells:
        await cells.run("kept = 'here'")

    def use() -> None:
        url = member.server.gateway_url
        with JupyterKernelClient(server_url=url, token=member.token, kernel_id=kernel_id) as kernel:
            assert kernel.id == kernel_id
            assert printed(kernel.execute("print(kept)")) == "here\n"
            assert [one["id"] for one in kernel.list_kernels()] == [kernel_id]

    await asyncio.to_thread(use)
    assert (await member.kernel(kernel_id))[0] == 200
    async with member.http() as http, http.delete(f"api/kernels/{kernel_id}") as response:
        assert response.status == 204
    await nothing_is_left(member, kernels=1)


def use_jupyter_kernel_client(member: Member, url: str) -> None:
    """Start, execute, interrupt, restart and stop, with nothing but the package's own API."""
    with JupyterKernelClient(server_url=url, token=member.token) as kernel:
        kernel_id = kernel.id
        assert kernel.is_alive()
        assert kernel.kernel_info is not None
        assert kernel.kernel_info["language_info"]["name"] == "python"
        assert printed(kernel.execute("kept = 6 * 7; print(kept)")) == "42\n"
        failed = kernel.execute("1 / 0")
        assert failed["status"] == "error"
        assert failed["outputs"][0]["ename"] == "ZeroDivisionError"

        interrupting = threading.Event()

        def interrupt(message: dict[str, Any]) -> None:
            # Only what is certainly running can be interrupted.
            if message["header"]["msg_type"] == "stream" and not interrupting.is_set():
                interrupting.set()
                kernel.interrupt()

        looping = "print('looping', flush=True)\nwhile True: pass"
        reply = kernel.execute_interactive(looping, output_hook=interrupt, timeout=60)
        assert interrupting.is_set()
        assert reply["content"]["ename"] == "KeyboardInterrupt"
        assert printed(kernel.execute("print(kept)")) == "42\n"

        kernel.restart(timeout=90)
        assert kernel.id == kernel_id
        forgotten = kernel.execute("kept")
        assert forgotten["outputs"][0]["ename"] == "NameError"
        assert kernel.is_alive()


def printed(executed: dict[str, Any]) -> str:
    """Return what a cell printed."""
    assert executed["status"] == "ok", executed
    return "".join(output["text"] for output in executed["outputs"])


async def nothing_is_left(member: Member, *, kernels: int) -> None:
    """Check that a member's kernels were as many, and that all are really gone."""
    found = rows(member.server, owner=member.name)
    assert len(found) == kernels
    ids = [one["id"] for one in found]
    await ended(*ids)
    assert processes_of(*ids) == []
    async with member.http() as http:
        async with http.get("api/kernels") as response:
            assert await response.json() == []
        async with http.get("api/sessions") as response:
            assert await response.json() == []
    assert member.server.cli("kernels", "list", "--user", member.name) == []
    assert {one["status"] for one in rows(member.server, owner=member.name)} == {"stopped"}
