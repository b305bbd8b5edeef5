"""`teamhub up` for real: what is killed comes back, what is ended is gone, kernels are kept."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from team import ROOT
from up_rig import Site

pytestmark = [pytest.mark.node, pytest.mark.timeout(400)]


@pytest.fixture
def site() -> Iterator[Site]:
    """A place for a team server, from which all that is left over is removed, and told of."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    # Short and open to all, as a real one is: members' processes have their homes in it.
    folder = Path(tempfile.mkdtemp(prefix="th-"))
    folder.chmod(0o755)
    site = Site(folder / "data", port)
    yield site
    for up in site.ups:
        up.process.kill()
        up.end()
    left = site.processes()
    told = [(process.pid, process.cmdline()) for process in left]
    for process in left:
        process.kill()
    shutil.rmtree(folder, ignore_errors=True)
    assert not told, f"left running: {told}"


def test_ctrl_c_ends_everything_kernels_too(site: Site) -> None:
    up = site.up().ready()
    up.until(lambda: "administrator: admin" in up.out)
    token = site.token("ada")
    site.running_kernel(token)
    status = site.json("status")
    assert status["ready"] is True
    assert status["workloads"]["kernel"] == {"running": 1}
    assert {p["name"] for p in status["processes"]} == {"supervisor", "proxy", "hub", "gateway"}
    assert site.kernels()
    assert up.signal(signal.SIGINT).end() == 0
    assert site.processes() == []
    assert site.json("status", code=4) == {"running": False, "ready": False}
    assert site.json("kernels", "list") == []


def test_a_checkouts_own_up_finds_what_its_dev_has_set_up(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = [part for part in os.environ["PATH"].split(os.pathsep) if str(ROOT) not in part]
    monkeypatch.setenv("PATH", os.pathsep.join(outside))
    monkeypatch.delenv("TEAMHUB_KERNEL_PREFIX", raising=False)
    site.up().ready()
    assert any(
        str(ROOT / ".node/node_modules/.bin/configurable-http-proxy") in process.cmdline()
        for process in site.processes()
    )
    site.running_kernel(site.token("ada"))
    (kernel,) = site.kernels()
    assert psutil.Process(kernel).cmdline()[0] == str(ROOT / ".kernel-venv/bin/python")
    site.command("down")


def test_a_second_up_says_so_and_the_first_goes_on(site: Site) -> None:
    first = site.up().ready()
    before = {p.pid for p in site.processes()}
    second = site.up()
    assert second.end() == 3
    assert second.out == []
    assert second.err == [
        f"teamhub: a team server is already running on {site.data_dir} "
        f"(process {first.process.pid}): {first.url}"
    ]
    assert {p.pid for p in site.processes()} == before
    assert site.json("status")["ready"] is True
    assert first.signal(signal.SIGTERM).end() == 0


def test_kernels_outlive_down_keep_kernels_and_the_next_down_ends_them(site: Site) -> None:
    first = site.up().ready()
    token = site.token("ada")
    kernel = site.running_kernel(token)
    processes = site.kernels()
    assert site.json("down", "--keep-kernels")["kept"] == 1
    assert first.end() == 0
    assert site.kernels() == processes
    second = site.up().ready()
    site.eventually(lambda: site.state_of(kernel, token) == "idle")
    assert site.kernels() == processes
    assert site.json("down", "--keep-kernels")["kept"] == 1
    assert second.end() == 0
    assert site.json("down")["workloads"] == 1
    assert site.processes() == []
    assert site.json("kernels", "list") == []


def test_a_supervisor_that_was_killed_is_followed_by_one_that_takes_over(site: Site) -> None:
    first = site.up().ready()
    token = site.token("ada")
    kernel = site.running_kernel(token)
    processes = site.kernels()
    old = [site.pid(name) for name in ("proxy", "hub", "gateway")]
    first.signal(signal.SIGKILL).end()
    second = site.up().ready()
    assert not any(psutil.pid_exists(pid) for pid in old)
    site.eventually(lambda: site.state_of(kernel, token) == "idle")
    assert site.kernels() == processes
    assert second.signal(signal.SIGINT).end() == 0
    assert site.processes() == []


def test_down_after_a_kill_ends_processes_and_kernels(site: Site) -> None:
    site.data_dir.mkdir(0o711)
    (site.data_dir / "teamhub.toml").write_text(f"[proxy]\nport = {site.port}\n")
    up = site.up().ready()
    site.running_kernel(site.token("ada"))
    proxy = site.pid("proxy")
    up.signal(signal.SIGKILL).end()
    assert (
        f"no team server is running on {site.data_dir}, but 3 processes and 1 kernel or notebook "
        f"server of one that was killed still run: `teamhub up --data-dir {site.data_dir}` takes "
        f"over, `teamhub down --data-dir {site.data_dir}` ends them"
    ) in site.refused("status", code=4)
    checks = {check["name"]: check for check in site.json("doctor", code=1)["checks"]}
    assert checks["ports"]["text"] == (
        f"port {site.port} is held by what a team server that was killed has left (process {proxy})"
    )
    assert checks["ports"]["remedy"] == checks["processes"]["remedy"]
    ended = site.json("down")
    assert (ended["supervisor"], ended["processes"], ended["workloads"]) == (None, 3, 1)
    assert site.processes() == []


@pytest.mark.parametrize("name", ["proxy", "hub", "gateway"])
def test_what_is_killed_comes_back_and_the_kernel_never_noticed(site: Site, name: str) -> None:
    up = site.up().ready()
    token = site.token("ada")
    kernel = site.running_kernel(token)
    processes = site.kernels()
    os.kill(site.pid(name), signal.SIGKILL)
    up.until(lambda: any("has ended (killed by SIGKILL)" in line for line in up.err))
    site.eventually(lambda: site.request("GET", "/services/gateway/readyz", token)[0] == 200)
    site.eventually(lambda: site.request("GET", "/hub/api/user", token)[0] == 200)
    assert site.state_of(kernel, token) == "idle"
    assert site.kernels() == processes
    assert up.signal(signal.SIGINT).end() == 0
    assert site.processes() == []


def test_a_stuck_dispatcher_does_not_keep_kernels_alive(site: Site) -> None:
    """Ctrl-C twice: the supervisor does the dispatcher's work, and at once."""
    up = site.up().ready()
    site.running_kernel(site.token("ada"))
    os.kill(site.pid("gateway"), signal.SIGSTOP)
    up.signal(signal.SIGINT)
    up.until(lambda: any("ending 1 kernel" in line for line in up.err))
    assert up.signal(signal.SIGINT).end() == 0
    assert site.processes() == []
    assert site.json("kernels", "list") == []


def test_a_kernel_is_ended_by_name_and_no_secret_is_on_a_command_line(site: Site) -> None:
    up = site.up().ready()
    token = site.token("ada")
    kernel = site.running_kernel(token)
    secrets = [path.read_text().split()[-1] for path in (site.data_dir / "secrets").iterdir()]
    commands = "\n".join(" ".join(process.cmdline()) for process in site.processes())
    assert not any(secret in commands for secret in [*secrets, token])
    assert site.json("kernels", "stop", kernel[:8])[0]["status"] == "stopped"
    assert site.kernels() == []
    status, who = site.request("GET", "/hub/api/user", token)
    assert (status, who["name"]) == (200, "ada")
    assert "access:services!service=gateway" in who["scopes"]
    logs = "".join(path.read_text() for path in (site.data_dir / "logs").iterdir())
    (password,) = (line.split()[-1] for line in up.out if line.startswith("one-time password: "))
    assert not any(secret in logs for secret in [*secrets, token, password])
    assert up.signal(signal.SIGINT).end() == 0
