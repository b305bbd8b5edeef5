"""The scripts of the documentation, run word for word as a member would run them."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import nbformat
import pytest
from documented import script
from team import Member

DEADLINE_SECONDS = 120


async def run(member: Member, directory: Path, name: str, *arguments: str) -> tuple[int, str, str]:
    """Run a script of the documentation; return its exit status and what it printed."""
    return await run_text(member, directory, script(name), *arguments)


async def run_text(
    member: Member, directory: Path, text: str, *arguments: str
) -> tuple[int, str, str]:
    path = directory / "the_script.py"
    path.write_text(text)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(path),
        *arguments,
        env={
            "PATH": member.server.env["PATH"],
            "TEAMHUB_GATEWAY": member.server.gateway_url,
            "TEAMHUB_TOKEN": member.token,
        },
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=directory,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), DEADLINE_SECONDS)
    except TimeoutError:
        process.kill()
        raise
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def kernels_of(member: Member) -> list[str]:
    async with member.http() as http, http.get("api/kernels") as answer:
        return [kernel["id"] for kernel in await answer.json()]


async def test_the_script_with_jupyter_kernel_client(member: Member, tmp_path: Path) -> None:
    code, out, err = await run(member, tmp_path, "kernel_client")
    assert (code, out) == (0, "ok\n42\n\n"), err
    assert await kernels_of(member) == []


async def test_the_script_with_a_plain_websocket(member: Member, tmp_path: Path) -> None:
    code, out, err = await run(member, tmp_path, "websocket")
    assert (code, out) == (0, "42\n"), err
    assert await kernels_of(member) == []


@pytest.mark.parametrize(("last", "status"), [("print('done')", 0), ("1 / 0", 1)])
async def test_the_script_that_runs_a_notebook(
    member: Member, tmp_path: Path, last: str, status: int
) -> None:
    cells = [
        nbformat.v4.new_markdown_cell("# Words"),
        nbformat.v4.new_code_cell("kept = 6 * 7"),
        nbformat.v4.new_code_cell("kept"),
        nbformat.v4.new_code_cell(last),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "in.ipynb")
    code, _, err = await run(member, tmp_path, "notebook", "in.ipynb", "out.ipynb")
    assert code == status, err
    written = json.loads((tmp_path / "out.ipynb").read_text())
    nbformat.validate(written)
    outputs = [cell["outputs"] for cell in written["cells"] if cell["cell_type"] == "code"]
    assert outputs[0] == []
    assert outputs[1][0]["data"]["text/plain"] in ("42", ["42"])
    assert outputs[2][0]["output_type"] == ("error" if status else "stream")
    assert await kernels_of(member) == []


_NBCLIENT = """
import nbformat, os, sys
from jupyter_server.gateway.gateway_client import GatewayClient
from jupyter_server.gateway.managers import GatewayKernelManager
from nbclient import NotebookClient

gateway = GatewayClient.instance()
gateway.url = os.environ["TEAMHUB_GATEWAY"]
gateway.auth_token = os.environ["TEAMHUB_TOKEN"]
gateway.init_connection_args()
notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("6 * 7")])
NotebookClient(
    notebook, kernel_manager_class=GatewayKernelManager, kernel_name="python3", startup_timeout=20
).execute()
print(notebook.cells[0].outputs[0]["data"]["text/plain"])
"""


async def test_nbclient_is_refused_as_the_documentation_says(
    member: Member, tmp_path: Path
) -> None:
    """Should this fail, upstream has mended it: the page on connecting can say something better."""
    code, _, err = await run_text(member, tmp_path, _NBCLIENT)
    assert code != 0
    assert "403" in err, err
