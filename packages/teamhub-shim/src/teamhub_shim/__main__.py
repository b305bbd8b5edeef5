"""`python -m teamhub_shim`: reads what it is to keep from the environment, and keeps it."""

from __future__ import annotations

import os
import sys
import traceback

from teamhub_shim import protocol
from teamhub_shim.output import log, write_last_line
from teamhub_shim.protocol import Exit, Spec
from teamhub_shim.shim import Shim, ShimError, Surroundings

EXIT_CODE_MISUSE = 2


def main() -> int:
    """Run a shim to its end.

    Returns:
        0 where the end was asked for; else what a shell would report of the kernel, and never 0.
    """
    environment = {k: v for k, v in os.environ.items() if k.startswith("TEAMHUB_")}
    for name in environment:
        if name != protocol.MARKER_VARIABLE:
            del os.environ[name]
    try:
        spec = Spec.from_json(environment.get(protocol.SPEC_VARIABLE, ""))
    except (ValueError, TypeError, KeyError) as error:
        # Not the text itself: it may hold secrets.
        problem = f"{protocol.SPEC_VARIABLE} does not describe a kernel: {type(error).__name__}"
        return _cannot_start(problem)
    surroundings = Surroundings(
        secret_key=environment.get(protocol.SECRET_KEY_VARIABLE, "").encode(),
        address_file=environment.get(protocol.ADDRESS_FILE_VARIABLE),
        wake_socket=environment.get(protocol.WAKE_SOCKET_VARIABLE),
        runtime_dir=environment.get(protocol.RUNTIME_DIR_VARIABLE),
    )
    try:
        shim = Shim(spec, surroundings)
    except ShimError as error:
        return _cannot_start(str(error))
    try:
        ended = shim.run()
        shim.close()
    except Exception as error:
        # A fault of ours: whoever reads the log sees where, and the kernel dies with us.
        log("a fault of ours", "error", traceback=traceback.format_exc())
        ended = Exit("exited", f"the shim failed: {error!r}")
    log(
        f"the shim ends: {ended.detail or ended.reason}",
        "info" if ended.reason == "asked" else "warning",
    )
    write_last_line(ended.to_line())
    return _exit_code(ended)


def _cannot_start(problem: str) -> int:
    log(problem, "error")
    write_last_line(Exit("exited-at-start", problem).to_line())
    return EXIT_CODE_MISUSE


def _exit_code(ended: Exit) -> int:
    if ended.reason == "asked":
        return 0
    if not ended.exit_code:
        return 1
    return ended.exit_code if ended.exit_code > 0 else 128 - ended.exit_code


if __name__ == "__main__":
    sys.exit(main())
