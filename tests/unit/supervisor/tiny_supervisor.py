"""`teamhub up` with programs of a few lines: `python tiny_supervisor.py DATA_DIR PORT WHAT`.

WHAT is "well"; "broken", where the hub ends at once; or "slow", where it never gets ready.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from teamhub.config import Config, ProxySettings
from teamhub.deployment import Deployment
from teamhub.errors import TeamhubError
from teamhub.supervisor.children import Program, inherited
from teamhub.supervisor.readiness import Readiness
from teamhub.supervisor.terminal import Terminal
from teamhub.supervisor.up import Supervisor

WELL = "import time; print('here', flush=True); time.sleep(600)"
BROKEN = "print('no such thing'); raise SystemExit(7)"


def table(what: str) -> tuple[Program, ...]:
    def program(name: str, source: str) -> Program:
        env = {**inherited(os.environ), "TEAMHUB_DATA_DIR": sys.argv[1]}
        return Program(name, f"the {name}", (sys.executable, "-Sc", source), env)

    return (
        program("proxy", WELL),
        program("gateway", WELL),
        program("hub", BROKEN if what == "broken" else WELL),
    )


class AllHere:
    """Ready when every program has said that it is here."""

    def __init__(self, deployment: Deployment, what: str) -> None:
        self._logs = [deployment.log_file(name) for name in ("proxy", "gateway", "hub")]
        self._what = what

    async def check(self) -> Readiness:
        here = all(log.exists() and "here" in log.read_text() for log in self._logs)
        if not here:
            return Readiness({"hub": "not here"})
        return Readiness({} if self._what == "well" else {"gateway": "slow"})


def main() -> None:
    data_dir, port, what = sys.argv[1:]
    deployment = Deployment(Config(data_dir=Path(data_dir), proxy=ProxySettings(port=int(port))))
    terminal = Terminal()
    try:
        asyncio.run(
            Supervisor(
                deployment, terminal, table=lambda _: table(what), probe=AllHere(deployment, what)
            ).run()
        )
    except TeamhubError as error:
        terminal.say(str(error))
        sys.exit(error.exit_code)


main()
