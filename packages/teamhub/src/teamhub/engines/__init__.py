"""Engines: the adapters that start workloads on nodes. `base.Engine` is the one seam.

An engine knows neither users' rights nor queues nor the database. A new one is one file that
passes `tests/contract/`, and a line in `create`.
"""

from __future__ import annotations

from teamhub.config import Config
from teamhub.engines.base import Engine


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
