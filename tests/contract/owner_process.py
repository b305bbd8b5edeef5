"""A process that owns an engine, to be killed: `owner_process.py DEPLOYMENT DATA_DIR HOW ID ARGV…`.

Prints the handle of what it has started and then stays. With HOW `unrecorded` it kills itself
after the workload's process exists and before that is written down anywhere.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from teamhub.engines.directories import Directory
from teamhub.engines.process import ProcessEngine
from teamhub.model import Kind, Launch


def crash(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def main() -> None:
    deployment, data_dir, how, workload_id, *argv = sys.argv[1:]
    if how == "unrecorded":
        Directory.write_handle = crash  # type: ignore[method-assign]
    engine = ProcessEngine(deployment, Path(data_dir), 5)
    await engine.open()
    launch = Launch(
        deployment, workload_id, Kind.KERNEL, 1, "alice", tuple(argv), {"PATH": "/bin"}, "/", "here"
    )
    handle = await engine.start(launch)
    print(json.dumps(handle.to_json()), flush=True)  # noqa: T201
    await asyncio.Event().wait()


asyncio.run(main())
