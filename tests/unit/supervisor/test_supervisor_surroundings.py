"""Looking where the server looks, whatever this shell knows."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from supervisor_rig import Run
from teamhub.deployment import Deployment
from teamhub.supervisor.surroundings import adopt, dev_of, of_checkout


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The installation in a checkout that `./dev` has set up; returned is its prefix."""
    for folder in (".venv", ".kernel-venv", ".node/node_modules/.bin"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / ".venv/.root").write_text(str(tmp_path))
    (tmp_path / "dev").write_text("#!/bin/sh")
    return tmp_path / ".venv"


def test_a_checkout_looks_where_dev_does(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/bin")
    monkeypatch.delenv("TEAMHUB_KERNEL_PREFIX", raising=False)
    root = checkout.parent
    assert of_checkout(checkout) == {
        "PATH": f"{root}/.node/node_modules/.bin{os.pathsep}/bin",
        "TEAMHUB_KERNEL_PREFIX": str(root / ".kernel-venv"),
    }
    monkeypatch.setenv("TEAMHUB_KERNEL_PREFIX", str(root))
    assert of_checkout(checkout)["TEAMHUB_KERNEL_PREFIX"] == str(root)
    assert dev_of(checkout) == root / "dev"


@pytest.mark.parametrize("missing", [".venv/.root", "dev"])
def test_another_installation_is_none(checkout: Path, missing: str) -> None:
    (checkout.parent / missing).unlink()
    assert dev_of(checkout) is None
    assert of_checkout(checkout) == {}


@pytest.mark.timeout(400)
def test_that_of_the_server_that_runs_wins(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEAMHUB_KERNEL_PREFIX", "/opt/of-the-server")
    run = Run(deployment).ready()
    try:
        monkeypatch.setenv("TEAMHUB_KERNEL_PREFIX", "/opt/of-this-shell")
        monkeypatch.setenv("PATH", "/bin")
        adopt(deployment.data_dir)
        assert os.environ["TEAMHUB_KERNEL_PREFIX"] == "/opt/of-the-server"
        assert os.environ["PATH"] != "/bin"
    finally:
        assert run.signal(signal.SIGINT).end() == 0
