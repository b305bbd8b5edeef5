"""Engines: the adapters that start workloads on nodes. `base.Engine` is the one seam.

An engine knows neither users' rights nor queues nor the database. A new one is one file that
passes `tests/contract/`, and a line in `create`.
"""

from __future__ import annotations

import asyncio

from teamhub.config import Config
from teamhub.engines.base import Engine
from teamhub.errors import EngineError
from teamhub.model import Handle
from teamhub.reasons import Reason


def create(config: Config, deployment: str) -> Engine:
    """Return the engine that the settings name, not yet opened.

    Args:
        config: the settings.
        deployment: the deployment's id, which everything started will carry.
    """
    if config.engine.name == "fake":
        from teamhub.engines.fake import FakeEngine

        return FakeEngine(deployment)
    from teamhub.engines.process import ProcessEngine

    return ProcessEngine(
        deployment,
        config.data_dir,
        stop_timeout_seconds=config.dispatcher.stop_timeout_seconds,
    )


async def read_log(config: Config, deployment: str, handle: Handle, tail: int) -> str:
    """Return the last lines that a workload has written, beside the engine that keeps it.

    For a command while the server runs: a second open engine would take the first one's socket.

    Args:
        config: the settings.
        deployment: the deployment's id.
        handle: the workload's.
        tail: how many lines.

    Raises:
        EngineError: the log cannot be read.
    """
    if config.engine.name == "fake":
        return ""
    from teamhub.engines.directories import Directories
    from teamhub.engines.leader import Leader

    workload_id = Leader.of(handle).workload_id
    directory = Directories(config.data_dir, deployment).of(workload_id)
    try:
        if directory.handle() != handle:
            return ""
        return await asyncio.to_thread(directory.log_lines, tail)
    except OSError as error:
        raise EngineError(
            Reason.ENGINE, f"the log of {workload_id} cannot be read: {error.strerror}"
        ) from None
