"""What a deployment has of a workload: its row in the store, its processes on the machine."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import Any

import psutil
from patience import eventually
from team import TeamServer


def waiting(server: TeamServer, kernel_id: str) -> int:
    """Return how many messages wait in the store for a kernel."""
    query = "select count(*) from waiting_messages where kernel_id = ?"
    with contextlib.closing(_opened(server)) as connection:
        return int(connection.execute(query, (kernel_id,)).fetchone()[0])


def rows(server: TeamServer, **where: Any) -> list[dict[str, Any]]:
    """Return the rows of workloads that have these values, oldest first, ended ones too."""
    with contextlib.closing(_opened(server)) as connection:
        found = connection.execute("select * from workloads order by created_at").fetchall()
    return [dict(row) for row in found if all(row[name] == value for name, value in where.items())]


def row(server: TeamServer, workload_id: str) -> dict[str, Any]:
    """Return the one row of a workload."""
    (found,) = rows(server, id=workload_id)
    return found


def processes_of(*workload_ids: str) -> list[psutil.Process]:
    """Return all that runs for these workloads: it is marked, as is all that it starts."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            marker = process.environ().get("TEAMHUB_WORKLOAD", "")
            if any(f"/{workload_id}/" in marker for workload_id in workload_ids):
                found.append(process)
    return found


def pids_of(*workload_ids: str) -> set[int]:
    """Return the process ids of all that runs for these workloads."""
    return {process.pid for process in processes_of(*workload_ids)}


def leaders_of(*workload_ids: str) -> list[psutil.Process]:
    """Return what an engine has started for these workloads: the leaders of sessions."""
    return [
        process
        for process in processes_of(*workload_ids)
        if "TEAMHUB_ADDRESS_FILE" in _env(process)
    ]


async def ended(*workload_ids: str) -> None:
    """Return once nothing runs for these workloads any more."""

    async def look() -> bool:
        return not processes_of(*workload_ids)

    await eventually(f"the end of all processes of {workload_ids}", look)


def own_pids(server: TeamServer) -> set[int]:
    """Return the process ids of the proxies, hubs and gateways of a deployment."""
    found = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("TEAMHUB_DATA_DIR") == str(server.data_dir):
                found.add(process.pid)
    return found


def _opened(server: TeamServer) -> sqlite3.Connection:
    connection = sqlite3.connect(f"file:{server.data_dir / 'teamhub.sqlite'}?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row
    return connection


def _env(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except psutil.Error:
        return {}
