"""`./dev` where something is wanting, and where it is interrupted: a line, and the next one works.

One clone and one cache of downloads serve all of these; each begins with the parts that it needs
taken away, so that none depends on another.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from bad_input import Answer, snapshot
from running import Running
from team import ROOT
from test_fresh_clone import machine_settings

SET_UP_SECONDS = 600
pytestmark = pytest.mark.timeout(2 * SET_UP_SECONDS)

NOBODY = "http://127.0.0.1:9/"
"""The port "discard", on which nobody listens."""

CHECKED = ("./dev", "test", "-q", "tests/unit/config/test_config_changes.py")
"""A command that needs every part of the set-up and takes a second."""


class Checkout:
    """A clone, and somebody with an empty home who uses it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "clone"
        path = [part for part in os.environ["PATH"].split(":") if str(ROOT) not in part]
        home = folder / "home"
        home.mkdir()
        self.env = {
            **machine_settings(),
            "PATH": ":".join(path),
            "HOME": str(home),
            "LANG": "C.UTF-8",
        }
        subprocess.run(
            ["git", "clone", "-q", f"file://{ROOT}", str(self.root)], check=True, timeout=60
        )

    def without(self, *parts: str) -> None:
        """Take parts of the set-up away."""
        for part in parts:
            path = self.root / part
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def run(self, *command: str, **env: str) -> Answer:
        done = subprocess.run(
            command,
            cwd=self.root,
            env={**self.env, **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SET_UP_SECONDS,
            check=False,
        )
        assert "Traceback" not in done.stderr
        return Answer(done.returncode, done.stdout, done.stderr.splitlines())

    def works(self) -> None:
        answer = self.run(*CHECKED)
        assert answer.code == 0, answer
        assert re.search(r"\d+ passed", answer.out)


@pytest.fixture(scope="module")
def module_checkout() -> Iterator[Checkout]:
    folder = Path(tempfile.mkdtemp(prefix="th-setup-"))
    yield Checkout(folder)
    shutil.rmtree(folder)


@pytest.fixture
def checkout(module_checkout: Checkout) -> Checkout:
    return module_checkout


# The machine's Python


def python_that(folder: Path, how: str) -> Path:
    """Make a python3 that is this one but for something; return the folder that it is in."""
    folder.mkdir()
    real = sys.executable  # not what PATH finds, which may be a script that needs more than this
    source = f"import sys; {how}; code = sys.argv.pop(1); exec(code)"
    script = folder / "python3"
    script.write_text(f"#!/bin/sh\nshift\nexec '{real}' -c '{source}' \"$@\"\n")
    script.chmod(0o755)
    for tool in ("sh", "cat", "cksum", "dirname", "mkdir", "printf", "grep"):
        found = shutil.which(tool)
        assert found is not None
        (folder / tool).symlink_to(found)
    return folder


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (
            "sys.version_info = (3, 9, 18)",
            "{}/python3 is Python 3.9, too old: install 3.11 or",
        ),
        ('sys.modules["ensurepip"] = None', "has no venv or ensurepip module: install them (on"),
        ("sys.exit(3)", "{}/python3 does not run: repair it, or install another"),
    ],
    ids=["too-old", "no-venv", "broken"],
)
def test_a_python_that_will_not_do(checkout: Checkout, tmp_path: Path, how: str, said: str) -> None:
    tools = python_that(tmp_path / "bin", how)
    checkout.without(".venv/.stamp-base")
    before = snapshot(checkout.root)
    answer = checkout.run("./dev", "up", PATH=str(tools))
    assert answer.code == 1
    line = answer.said()
    assert line.startswith("dev: Python 3.11 or newer is needed; ")
    assert said.format(tools) in line
    assert line.endswith(", then run ./dev again.")
    assert snapshot(checkout.root) == before


def test_no_python_at_all(checkout: Checkout, tmp_path: Path) -> None:
    tools = python_that(tmp_path / "bin", "")
    (tools / "python3").unlink()
    checkout.without(".venv/.stamp-base")
    answer = checkout.run("./dev", "up", PATH=str(tools))
    assert answer.code == 1
    assert answer.said() == (
        "dev: Python 3.11 or newer is needed; there is no python3 in PATH: install one, then run "
        "./dev again."
    )


# No way to the packages


@pytest.mark.parametrize(
    ("gone", "env", "what"),
    [
        (
            (".venv",),
            {"PIP_INDEX_URL": NOBODY, "PIP_FIND_LINKS": "", "PIP_RETRIES": "1"},
            "installing uv into .venv. See that this machine reaches its Python package index",
        ),
        (
            (".kernel-venv",),
            {"UV_INDEX_URL": NOBODY, "UV_DEFAULT_INDEX": NOBODY},
            "installing the kernels' packages into .kernel-venv. See that this machine reaches its",
        ),
        (
            (".node",),
            {"npm_config_registry": NOBODY},
            "installing the proxy into .node. See that this machine reaches its npm registry",
        ),
    ],
    ids=["pip", "uv", "npm"],
)
def test_a_package_index_that_nobody_reaches(
    checkout: Checkout, tmp_path: Path, gone: tuple[str, ...], env: dict[str, str], what: str
) -> None:
    checkout.works()
    checkout.without(*gone)
    # Without the cache, which could do without an index.
    caches = {
        "XDG_CACHE_HOME": str(tmp_path),
        "UV_CACHE_DIR": str(tmp_path / "uv"),
        "PIP_CACHE_DIR": str(tmp_path / "pip"),
        "npm_config_cache": str(tmp_path / "npm"),
    }
    answer = checkout.run("./dev", "up", **env, **caches)
    assert answer.code == 1
    failed = [line for line in answer.err if line.startswith("dev: failed at: ")]
    assert len(failed) == 1
    assert answer.err[-1] == failed[0]
    assert what in failed[0]
    assert failed[0].endswith(f"then run ./dev again. The log is {checkout.root}/.dev/setup.log")
    checkout.works()


def test_a_registry_that_hangs_is_given_up(checkout: Checkout, tmp_path: Path) -> None:
    """How long that takes is thrice npm's `fetch-timeout`, for which `./dev` sets a minute."""
    checkout.works()
    checkout.without(".node")
    with socket.create_server(("127.0.0.1", 0), backlog=128) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        answer = checkout.run(
            *("./dev", "up"),
            npm_config_registry=url,
            npm_config_fetch_timeout="500",
            npm_config_cache=str(tmp_path),
        )
    assert answer.code == 1
    assert "installing the proxy into .node. See that this machine reaches" in answer.err[-1]
    checkout.works()


# Interrupted


MOMENTS = [
    ("making .venv", ".venv/bin/python*"),
    ("installing uv into .venv", ".venv/lib/python*/site-packages/uv*"),
    ("installing the server's packages", ".venv/lib/python*/site-packages/jupyter*"),
    ("installing this checkout", ".venv/lib/python*/site-packages/teamhub*"),
    ("installing the tests' packages", ".venv/lib/python*/site-packages/hypothesis*"),
    ("installing the kernels' packages", ".kernel-venv/lib/python*/site-packages/ipykernel*"),
    ("installing the proxy into .node", ".node/.stage/package-lock.json"),
]
"""What `./dev` says that it does, and what there is when it is in the middle of that."""


def has_said(dev: Running, text: str) -> bool:
    return any(text in line for line in dev.err)


def started(checkout: Checkout) -> Running:
    return Running(CHECKED, cwd=checkout.root, env=checkout.env, new_session=True)


def test_killed_in_the_middle_at_every_step_and_then_two_at_once(checkout: Checkout) -> None:
    checkout.without(".venv", ".kernel-venv", ".node", ".dev", "tests/js/node_modules")
    for step, sign in MOMENTS:
        dev = started(checkout)
        try:
            dev.until(partial(has_said, dev, step))
            while dev.process.poll() is None and not list(checkout.root.glob(sign)):
                dev.pause()
        finally:
            # All of it at once, as when the machine loses its power.
            os.killpg(dev.process.pid, signal.SIGKILL)
            dev.end()
    both = [started(checkout), started(checkout)]
    assert [dev.end() for dev in both] == [0, 0], [dev.err for dev in both]
    waited = [
        dev for dev in both if "dev: another ./dev is setting up here; waiting for it" in dev.err
    ]
    assert len(waited) == 1
    assert not any("installing" in line for line in waited[0].err)
    assert all(re.search(r"\d+ passed", "\n".join(dev.out)) for dev in both)


@pytest.mark.root
def test_a_disk_that_is_full_in_the_middle(checkout: Checkout) -> None:
    """With room, the same command goes on: here to where it needs an index that nobody reaches."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="th-full-")))
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=24m", "teamhub-test", str(folder)], check=True
        )
        stack.callback(subprocess.run, ["umount", "--lazy", str(folder)], check=True)
        small = Checkout(folder)
        small.env["HOME"] = checkout.env["HOME"]
        answer = small.run("./dev", "up")
        assert answer.code == 1
        failed = [line for line in answer.err if line.startswith("dev: failed at: ")]
        assert len(failed) == 1
        assert f"See that {small.root} is writable and the disk is not full" in failed[0]
        subprocess.run(["mount", "-o", "remount,size=400m", str(folder)], check=True)
        answer = small.run(
            *("./dev", "up"),
            UV_INDEX_URL=NOBODY,
            UV_DEFAULT_INDEX=NOBODY,
            UV_CACHE_DIR=str(folder / "uv"),
        )
        assert "failed at: installing the server's packages into .venv" in answer.err[-1]
        assert (small.root / ".venv/bin/uv").exists()
