"""This machine: its Python, its Node, its clock, its limits."""

from __future__ import annotations

import asyncio
import os
import platform
import re
import resource
import shutil
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil

from teamhub.doctor.check import Check, Finding, Patient, ok, problem, skipped, warning
from teamhub.engines.limits import ResourceLimits
from teamhub.store import Store
from teamhub.supervisor.down import store_exists

RELEASED = datetime(2026, 11, 1, tzinfo=UTC)
"""Before this teamhub was made no clock can be."""

_OLDEST_PYTHON = (3, 11)
_OLDEST_NODE = 20
_FILES = 4096
_LITTLE_MEMORY_BYTES = 512 * 1024**2
_AHEAD = timedelta(seconds=10)
_VERSION_SECONDS = 20
_CGROUP = Path("/sys/fs/cgroup/cgroup.controllers")


async def output_of(*argv: str, seconds: float = _VERSION_SECONDS) -> tuple[int | None, str]:
    """Run a program and return its exit status and what it wrote; None where it did not end.

    Raises:
        OSError: it cannot be started.
    """
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(seconds):
            out, _ = await process.communicate()
    except TimeoutError:
        return None, ""
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, out.decode(errors="replace").strip()


async def _python(_: Patient) -> Finding:
    version = platform.python_version()
    if sys.version_info < _OLDEST_PYTHON:
        return problem(f"Python {version} is too old", "install Python 3.11 or newer")
    return ok(f"Python {version}, {sys.executable}")


async def _platform(_: Patient) -> Finding:
    what = f"{platform.system()} {platform.release()}, {os.cpu_count()} CPUs"
    if platform.system() != "Linux":
        return warning(
            f"{what}: teamhub is only tried on Linux", "use it for a trial, or move to Linux"
        )
    return ok(what)


async def _proxy(patient: Patient) -> Finding:
    assert patient.config is not None
    command = patient.config.proxy.command
    install = "`npm install -g configurable-http-proxy`, or start with `./dev up`, which brings it"
    found = shutil.which(command[0]) if command else None
    if found is None:
        if patient.running:
            return ok("the proxy that runs was found in another PATH than this one")
        return problem(f"{' '.join(command[:1]) or 'no command'} is not in PATH", install)
    node = shutil.which("node")
    if node is None:
        return problem("Node.js is not in PATH, and the proxy needs it", install)
    _, version = await output_of(node, "--version")
    match = re.match(r"v(\d+)", version)
    if match is None or int(match[1]) < _OLDEST_NODE:
        said = version.splitlines()[0][:60] if version else "nothing"
        return problem(
            f"{node} is too old or broken (its version: {said})", "install Node.js 22 or newer"
        )
    code, said = await output_of(found, *command[1:], "--version")
    if code != 0:
        last = said.splitlines()[-1][:200] if said else "no word"
        return problem(f"{found} does not run: {last}", install)
    return ok(f"{Path(found).name} {said.splitlines()[-1]} on Node.js {version}")


async def _clock(patient: Patient) -> Finding:
    now = datetime.now(UTC)
    remedy = "set the clock right, and keep it so with chrony or systemd-timesyncd"
    if now < RELEASED:
        return problem(f"this machine's clock says {now:%Y-%m-%d}: that is in the past", remedy)
    if patient.config is None or not store_exists(patient.config):
        return ok(f"{now:%Y-%m-%d %H:%M} UTC")
    store = Store.of(patient.deployment)
    try:
        await store.open(listen=False)
        ahead = [w.changed_at for w in await store.workloads.changed_since(now + _AHEAD)]
        held = await store.lease.held()
        ahead += [held.heartbeat_at] if held is not None else []
        ahead += [account.created_at for account in await store.accounts.all()]
    finally:
        await store.close()
    newest = max(ahead, default=now)
    if newest > datetime.now(UTC) + _AHEAD:
        return problem(
            f"the clock says {now:%Y-%m-%d %H:%M:%S} UTC, and the database has something of "
            f"{newest:%Y-%m-%d %H:%M:%S}: it was set back",
            remedy,
        )
    return ok(f"{now:%Y-%m-%d %H:%M} UTC, and nothing in the database is newer")


async def _open_files(_: Patient) -> Finding:
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < _FILES:
        return warning(
            f"a process may have {soft} files open; every connection takes one or two",
            f"raise it to {_FILES} or more: `ulimit -n`, or LimitNOFILE= of its systemd unit",
        )
    return ok(f"a process may have {soft} files open")


async def _memory(_: Patient) -> Finding:
    memory = psutil.virtual_memory()
    gib = 1024**3
    text = f"{memory.available / gib:.1f} of {memory.total / gib:.1f} GiB of memory available"
    if memory.available < _LITTLE_MEMORY_BYTES:
        return warning(text, "see `teamhub kernels list` for what can be stopped")
    return ok(text)


async def _limits(patient: Patient) -> Finding:
    """Only looked at: finding out in earnest would move this very process to another group."""
    assert patient.config is not None
    remedy = "run teamhub as a systemd unit with Delegate=yes, on cgroup v2"
    limited = any(size.memory or size.cpus for size in patient.config.sizes.values())
    if patient.config.engine.name != "process":
        return skipped("this engine has its own")
    if patient.running and store_exists(patient.config):
        store = Store.of(patient.deployment)
        try:
            await store.open(listen=False)
            said = "; ".join(node.detail for node in await store.nodes.all() if node.detail)
        finally:
            await store.close()
        if said:
            return warning(said, remedy) if limited else ok(f"no size has a limit ({said})")
        return ok("sizes are kept by cgroup v2")
    if not _CGROUP.exists():
        # The words of the engine, which it says once it runs.
        said = ResourceLimits().missing
        return warning(said, remedy) if limited else ok(f"no size has a limit ({said})")
    return ok("cgroup v2 is here; whether it is delegated is seen when teamhub runs")


CHECKS = (
    Check("python", _python, settings=False),
    Check("platform", _platform, settings=False),
    Check("proxy", _proxy),
    Check("clock", _clock, settings=False),
    Check("open files", _open_files, settings=False),
    Check("memory", _memory, settings=False),
    Check("size limits", _limits),
)
