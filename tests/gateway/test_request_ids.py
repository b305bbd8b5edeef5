"""An id that a client was given is found in the logs of everything that worked on its request."""

from __future__ import annotations

import json

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
            lines = (team.data_dir / f"workloads/{kernel_id}/log").read_text().splitlines()
            said = [json.loads(line) for line in lines if line.startswith("{")]
            told = {(line["message"], line.get("request_id")) for line in said}
            return told >= {(f"{m} of kernel {kernel_id}", id_) for m, id_ in made.items()}

        await eventually("the shim's lines", told, 10)
        lines = (team.data_dir / "logs/gateway.log").read_text().splitlines()
        said = [json.loads(line) for line in lines]
        ids = {(line.get("request_id"), line.get("client_request_id")) for line in said}
        assert ids >= {(id_, f"mine-{what}-{member.name}") for what, id_ in made.items()}
    assert made["interrupt"] != made["restart"]
