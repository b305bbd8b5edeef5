"""One supervisor at a time."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from teamhub.config import Config
from teamhub.deployment import Deployment
from teamhub.errors import AlreadyRunningError, ConfigError
from teamhub.supervisor.lock import UpLock, holder


def test_the_second_is_told_who_and_where(deployment: Deployment) -> None:
    first, second = UpLock(deployment), UpLock(deployment)
    first.take()
    deployment.prepare()
    with pytest.raises(AlreadyRunningError) as caught:
        second.take()
    assert str(caught.value) == (
        f"a team server is already running on {deployment.data_dir} (process {os.getpid()}): "
        f"{deployment.public_url()}"
    )
    assert caught.value.exit_code == 3
    first.release()
    second.take()
    second.release()
    second.release()


def test_it_is_known_who_holds_it(deployment: Deployment) -> None:
    assert holder(deployment.data_dir) is None
    lock = UpLock(deployment)
    lock.take()
    found = holder(deployment.data_dir)
    assert found is not None
    assert found.pid == os.getpid()
    lock.release()
    assert holder(deployment.data_dir) is None


def test_an_id_that_is_another_programs_by_now_is_no_supervisor(deployment: Deployment) -> None:
    lock = UpLock(deployment)
    lock.take()
    lock.release()
    with subprocess.Popen([sys.executable, "-Sc", "input()"], stdin=subprocess.PIPE) as other:
        (deployment.run_dir / "up.lock").write_text(f"{other.pid}\n")
        assert holder(deployment.data_dir) is None
        lock.take()
        lock.release()
        assert other.stdin is not None
        other.stdin.close()


def test_the_lock_of_one_that_was_killed_is_free(deployment: Deployment) -> None:
    source = (
        "import sys, os, signal, pathlib\n"
        "from teamhub.config import Config\n"
        "from teamhub.deployment import Deployment\n"
        "from teamhub.supervisor.lock import UpLock\n"
        "UpLock(Deployment(Config(data_dir=pathlib.Path(sys.argv[1])))).take()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", source, str(deployment.data_dir)], check=False)
    assert killed.returncode == -9
    assert (deployment.run_dir / "up.lock").read_text().strip().isdigit()
    assert holder(deployment.data_dir) is None
    lock = UpLock(deployment)
    lock.take()
    lock.release()


def test_a_directory_that_cannot_be_is_one_line(deployment: Deployment) -> None:
    deployment.data_dir.write_text("a file")
    inside = Deployment(Config(data_dir=deployment.data_dir / "inside"))
    with pytest.raises(ConfigError, match=r"data_dir: .*: is not a directory; .*--data-dir"):
        UpLock(inside).take()
