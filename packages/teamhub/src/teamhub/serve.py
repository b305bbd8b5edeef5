"""Gateway and dispatcher in one process, as `teamhub up` runs them: `python -m teamhub.serve`.

Only the wiring is here. In containers each has a process of its own; the code path is the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from pathlib import Path

from aiohttp import web

from teamhub import engines
from teamhub.deployment import Deployment
from teamhub.dispatcher import Dispatcher
from teamhub.dispatcher.launches import Launches
from teamhub.engines import border
from teamhub.errors import TeamhubError
from teamhub.gateway import app as gateway
from teamhub.gateway.access import Access
from teamhub.gateway.link import Keys
from teamhub.logs import set_up
from teamhub.store import Store

log = logging.getLogger("teamhub.serve")

_SHUTDOWN_SECONDS = 2.0


async def dispatcher_for(deployment: Deployment, store: Store) -> Dispatcher:
    """Return the dispatcher of a deployment, not yet running."""
    config = deployment.config
    deployment_id = await store.deployment_id()
    first_uid, why = border.first_uid(config)
    if first_uid is None and config.engine.name == "process":
        log.warning("%s (%s)", border.NO_BORDER, why)
    launches = Launches(config, deployment_id, deployment.secrets().gateway_public_key, first_uid)
    return Dispatcher(config, store, engines.create(config, deployment_id), launches)


async def serve(deployment: Deployment) -> None:
    """Run gateway and dispatcher until SIGTERM or SIGINT; workloads are left running."""
    secrets, config = deployment.secrets(), deployment.config
    store = Store.of(deployment)
    await store.open()
    dispatcher = await dispatcher_for(deployment, store)
    access = Access(
        deployment.hub_api_url(),
        secrets.gateway_token,
        config.gateway.token_cache_seconds,
        config.gateway.token_grace_seconds,
    )
    app = gateway.create(
        config, store, access, Keys(secrets.gateway_public_key, secrets.gateway_secret_key)
    )
    runner = web.AppRunner(
        app,
        access_log=None,
        shutdown_timeout=_SHUTDOWN_SECONDS,
        max_line_size=gateway.LINE_BYTES,
        max_field_size=gateway.LINE_BYTES,
    )
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", deployment.ports().gateway).start()
    dispatching = asyncio.create_task(dispatcher.run())
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    stopped = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait({dispatching, stopped}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await runner.cleanup()
        dispatching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await dispatching
        await store.close()


def main() -> None:
    """Run for the deployment in `TEAMHUB_DATA_DIR`."""
    try:
        deployment = Deployment.running(Path(os.environ["TEAMHUB_DATA_DIR"]))
        set_up("gateway", deployment.config.logs.level, deployment.log_file("gateway"))
        asyncio.run(serve(deployment))
    except TeamhubError as error:
        log.error("%s", error)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
