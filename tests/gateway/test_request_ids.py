"""An id that a client was given is found in the logs of everything that worked on its request."""

from __future__ import annotations

import pytest
from patience import eventually
from team import Member, TeamServer

pytestmark = pytest.mark.node


async def test_an_id_leads_from_the_answer_to_the_shim(team: TeamServer, member: Member) -> None:
    kernel_id = await member.start_kernel()
    async with member.connect(kernel_id) as cells, member.http() as http:
        assert (await cells.run("1 + 1")).text == "2"
        made = {}
        for what in ("interrupt", "restart"):
            theirs = {"X-Request-Id": f"mine-{what}-{member.name}"}
            async with http.post(f"api/kernels/{kernel_id}/{what}", headers=theirs) as answer:
                assert answer.status < 300
                made[what] = answer.headers["X-Request-Id"]

        async def told() -> bool:
            logs = [
                path.read_text(errors="replace")
                for path in team.data_dir.rglob("log")
                if path.is_file()
            ]
            text = "\n".join(logs)
            return all(
                f"{m} of kernel {kernel_id} request_id={id_}" in text for m, id_ in made.items()
            )

        await eventually("the shim's lines", told, 10)
        gateway = (team.data_dir / "logs/gateway.log").read_text(errors="replace")
        for what in made:
            assert f"client_request_id=mine-{what}-{member.name}" in gateway
    assert made["interrupt"] != made["restart"]
