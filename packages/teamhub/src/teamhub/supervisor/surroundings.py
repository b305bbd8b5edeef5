"""Where a server looks for programs: its PATH, and the prefix of the default environment.

`./dev up` sets both for what it starts, and a checkout's own `teamhub up` does likewise. A command
from another shell, which is to judge whether the server finds its programs, has to look where that
one does.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import psutil

from teamhub.supervisor.lock import holder

_NAMES = ("PATH", "TEAMHUB_KERNEL_PREFIX")


def adopt(data_dir: Path) -> None:
    """Look from now on where the server of a data directory looks; where none runs, where `./dev
    up` would, if this is a checkout's own installation.

    Changes this process's environment. Where nothing can be learned, it stays as it is.
    """
    process = holder(data_dir)
    try:
        found = process.environ() if process is not None else of_checkout(Path(sys.prefix))
    except psutil.Error:
        return
    os.environ.update({name: found[name] for name in _NAMES if name in found})


def of_checkout(prefix: Path) -> Mapping[str, str]:
    """Return what `./dev` of a checkout sets, nothing where this is none.

    Args:
        prefix: the installation's.
    """
    root = prefix.parent
    if dev_of(prefix) is None:
        return {}
    folders = [root / ".node/node_modules/.bin", root / ".node/bin"]
    there = [str(folder) for folder in folders if folder.is_dir()]
    kernel = os.environ.get("TEAMHUB_KERNEL_PREFIX") or str(root / ".kernel-venv")
    path = os.pathsep.join([*there, os.environ.get("PATH", os.defpath)])
    return {"PATH": path} | ({"TEAMHUB_KERNEL_PREFIX": kernel} if Path(kernel).is_dir() else {})


def dev_of(prefix: Path) -> Path | None:
    """Return the `dev` of the checkout that an installation is part of, None where of none."""
    dev = prefix.parent / "dev"
    is_one = prefix.name == ".venv" and (prefix / ".root").is_file() and dev.is_file()
    return dev if is_one else None
