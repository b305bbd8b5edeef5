"""How a real kernel starts, is interrupted, restarted and ended, and what a shim says of it."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest
from teamhub_shim.protocol import Exit

DEADLINE_SECONDS = 20


def wait_gone(pid: int) -> None:
    """Wait until a process that is not our child has ended."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        try:
            # A zombie that nobody has reaped yet runs no more.
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return
        except (FileNotFoundError, ProcessLookupError):
            return
        assert time.monotonic() < deadline, f"{pid} still runs"
        time.sleep(0.01)


def test_a_command_that_does_not_exist(start_shim):
    code, ended = start_shim(argv=("/no/such/python", "-f", "{connection_file}")).wait()
    assert code == 127
    assert (ended.reason, ended.exit_code) == ("command-not-found", 127)
    assert "/no/such/python" in ended.detail


def test_a_command_that_may_not_be_executed(start_shim, tmp_path):
    script = tmp_path / "kernel"
    script.write_text("not a program")
    script.chmod(0o644)
    _, ended = start_shim(argv=(str(script),)).wait()
    assert ended.reason == "command-not-found"
    script.chmod(0o755)
    _, ended = start_shim(argv=(str(script),)).wait()
    assert ended.reason == "command-not-found"


def test_a_kernel_that_dies_at_start(start_shim):
    code = "import sys; print('to stdout', flush=True); sys.exit('no module named torch')"
    shim = start_shim(argv=(sys.executable, "-c", code))
    exit_code, ended = shim.wait()
    assert exit_code == 1
    assert (ended.reason, ended.exit_code) == ("exited-at-start", 1)
    assert ended.log_tail == "to stdout\nno module named torch"
    assert "no module named torch" in shim.log().splitlines()
    assert "code 1 before it answered" in ended.detail
    assert not shim.runtime_dir.exists()


def test_a_kernel_killed_at_start(start_shim):
    code = "import os; os.kill(os.getpid(), 11)"
    exit_code, ended = start_shim(argv=(sys.executable, "-c", code)).wait()
    assert exit_code == 128 + 11
    assert (ended.reason, ended.exit_code) == ("exited-at-start", -11)
    assert "SIGSEGV" in ended.detail


def test_the_log_tail_is_bounded(start_shim):
    code = "for i in range(10000): print(f'line {i}')\nprint('x' * 100000)"
    _, ended = start_shim(argv=(sys.executable, "-c", code)).wait()
    assert len(ended.log_tail) <= 16 * 1024
    code = "for i in range(10000): print(f'line {i}')"
    _, ended = start_shim(argv=(sys.executable, "-c", code)).wait()
    assert ended.log_tail.splitlines() == [f"line {i}" for i in range(9950, 10000)]


def test_a_kernel_that_never_answers(start_shim):
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(1000)"
    shim = start_shim(argv=(sys.executable, "-c", code), start_timeout_seconds=1)
    exit_code, ended = shim.wait()
    assert exit_code != 0
    assert ended.reason == "start-timeout"
    assert "within 1 s" in ended.detail
    wait_gone(int(ended.log_tail))


def test_a_kernel_without_iopub_welcome(start_shim, tmp_path):
    """Nothing is let through before something has come over iopub, so nothing is lost."""
    script = tmp_path / "kernel.py"
    script.write_text(
        "from ipykernel.iostream import IOPubThread\n"
        "IOPubThread._send_welcome_message = lambda *_: None\n"
        "from ipykernel.kernelapp import launch_new_instance\n"
        "launch_new_instance()\n"
    )
    shim = start_shim(argv=(sys.executable, str(script), "-f", "{connection_file}"))
    link = shim.link(ready=False)
    link.hello()
    link.attach("s1")
    asked = link.execute("print('heard')")
    link.reply(asked)
    assert link.stdout(asked) == "heard\n"
    # And the shim's own questions are nobody else's business.
    assert not [m for m in link.messages if m.parent.get("msg_type") == "kernel_info_request"]


@pytest.mark.parametrize("mode", ["signal", "message"])
def test_interrupt(start_shim, mode):
    link = start_shim(interrupt_mode=mode).ready_link()
    asked = link.execute("print('on', flush=True)\nwhile True: pass")
    link.until(lambda: link.stdout(asked) == "on\n")
    assert link.call("interrupt") == {"result": {}}
    assert link.reply(asked).content["ename"] == "KeyboardInterrupt"
    # One that is idle is none the worse for it.
    assert link.call("interrupt") == {"result": {}}
    assert link.reply(link.execute("1")).content["status"] == "ok"


def test_restart_in_place(start_shim):
    shim = start_shim()
    link = shim.ready_link()
    link.reply(link.execute("x = 1"))
    before, port = link.states[-1], shim.address["port"]
    link.execute("while True: pass")
    link.until(lambda: link.states[-1].execution_state == "busy")
    call_id = link.request("restart")
    held = link.execute("print('x' in dir())")
    link.until(lambda: call_id in link.returns)
    pid = link.returns[call_id]["result"]["pid"]
    assert pid != before.pid
    link.reply(held)
    assert link.stdout(held) == "False\n"
    assert shim.address == {"port": port, "ready": True}
    assert link.states[-1].restarts == 1
    assert "restarting" in [state.execution_state for state in link.states]
    wait_gone(before.pid)
    # Asked for: no status message that clients would take for a death.
    assert "restarting" not in [
        m.content["execution_state"] for m in link.messages if m.type == "status"
    ]


def test_a_clients_own_shutdown_request_with_restart(start_shim):
    link = start_shim().ready_link()
    link.reply(link.execute("x = 1"))
    pid = link.states[-1].pid
    asked = link.send("control", "shutdown_request", {"restart": True})
    held = link.execute("print('x' in dir())")
    link.until(lambda: bool(link.of(asked, "shutdown_reply")))
    link.reply(held)
    assert link.stdout(held) == "False\n"
    assert link.states[-1].pid != pid


def test_a_clients_own_shutdown_request(start_shim):
    shim = start_shim()
    link = shim.ready_link()
    asked = link.send("control", "shutdown_request", {"restart": False})
    link.until(lambda: bool(link.of(asked, "shutdown_reply")))
    link.until(lambda: link.states[-1].execution_state == "dead")
    code, ended = shim.wait()
    assert (code, ended.reason) == (0, "asked")
    assert link.of("", "status")[-1].content == {"execution_state": "dead"}


def test_a_kernel_that_dies_is_started_anew(start_shim):
    link = start_shim().ready_link()
    pid = link.states[-1].pid
    link.execute("import os; os._exit(3)")
    link.until(lambda: link.states[-1].execution_state == "autorestarting")
    link.until(lambda: link.states[-1].execution_state == "idle")
    assert link.states[-1].pid != pid
    assert link.states[-1].restarts == 1
    assert (link.states[-1].deaths, link.states[-1].last_exit) == (1, "exited with code 3")
    assert 0 <= time.time() - link.states[-1].last_exit_at < 60
    asked = link.execute("print('here')")
    link.reply(asked)
    assert link.stdout(asked) == "here\n"
    assert link.of("", "status")[0].content == {"execution_state": "restarting"}


def test_a_kernel_that_dies_again_and_again(start_shim):
    shim = start_shim()
    link = shim.ready_link()
    for restarts in range(5):
        link.execute("import os; os.kill(os.getpid(), 9)")
        link.until(lambda n=restarts: link.states[-1].restarts > n)
        link.until(lambda: link.states[-1].execution_state == "idle")
    link.execute("import os; os.kill(os.getpid(), 9)")
    link.until(lambda: link.states[-1].execution_state == "dead")
    code, ended = shim.wait()
    assert (ended.reason, ended.exit_code, code) == ("killed", -9, 128 + 9)
    assert "6th time in a row" in ended.detail
    statuses = [m.content["execution_state"] for m in link.of("", "status")]
    assert statuses.count("restarting") == 5
    assert statuses[-1] == "dead"


def test_sigterm_ends_everything(start_shim):
    shim = start_shim()
    link = shim.ready_link()
    asked = link.execute(
        "import subprocess\nchild = subprocess.Popen(['sleep', '1000'])\nprint(child.pid)"
    )
    link.reply(asked)
    child, kernel = int(link.stdout(asked)), link.states[-1].pid
    shim.process.send_signal(signal.SIGTERM)
    link.until(lambda: link.states[-1].execution_state == "dead")
    code, ended = shim.wait()
    assert (code, ended.reason) == (0, "asked")
    wait_gone(kernel)
    wait_gone(child)
    assert not shim.runtime_dir.exists()
    assert not (shim.directory / "address.json").exists()


def test_sigterm_while_busy_and_deaf(start_shim):
    shim = start_shim(stop_timeout_seconds=0.5)
    link = shim.ready_link()
    asked = link.execute(
        "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "print('on', flush=True)\nwhile True: pass"
    )
    link.until(lambda: link.stdout(asked) == "on\n")
    shim.process.send_signal(signal.SIGTERM)
    code, ended = shim.wait()
    assert (code, ended.reason, ended.exit_code) == (0, "asked", -signal.SIGKILL)


def test_sigterm_while_starting(start_shim):
    code = "import time; print('on', flush=True); time.sleep(1000)"
    shim = start_shim(argv=(sys.executable, "-c", code))
    shim.wait_for(ready=False)
    shim.process.send_signal(signal.SIGTERM)
    exit_code, ended = shim.wait()
    assert (exit_code, ended.reason) == (0, "asked")


def test_sigint_is_not_for_the_shim(start_shim):
    shim = start_shim()
    link = shim.ready_link()
    shim.process.send_signal(signal.SIGINT)
    assert link.reply(link.execute("1")).content["status"] == "ok"


def test_the_kernel_goes_with_a_shim_that_is_killed(start_shim):
    shim = start_shim()
    link = shim.ready_link()
    pid = link.states[-1].pid
    shim.process.kill()
    shim.process.wait()
    wait_gone(pid)


def test_what_the_kernel_inherits(start_shim):
    link = start_shim(env={"MINE": "yes"}).ready_link()
    code = (
        "import os\n"
        "print(sorted(n for n in os.environ if n.startswith('TEAMHUB_')), os.environ['MINE'],"
        " os.getpgid(0) == os.getpid(), os.getsid(0) == os.getsid(os.getppid()), os.getcwd(),"
        " int(open('/proc/self/oom_score_adj').read())"
        " - int(open(f'/proc/{os.getppid()}/oom_score_adj').read()))"
    )
    asked = link.execute(code)
    link.reply(asked)
    *words, oom = link.stdout(asked).split()
    assert words[:4] == ["['TEAMHUB_KERNEL_ID']", "yes", "True", "True"]
    assert words[4].startswith("/")
    assert int(oom) > 0


def test_the_sockets_are_private(start_shim):
    shim = start_shim()
    shim.ready_link()
    assert shim.runtime_dir.stat().st_mode & 0o777 == 0o700
    (connection_file,) = shim.runtime_dir.glob("*.json")
    assert connection_file.name == "kernel-kernel-1.json"
    assert connection_file.stat().st_mode & 0o777 == 0o600
    assert (shim.directory / "address.json").stat().st_uid == os.geteuid()


def test_a_port_that_is_taken(start_shim):
    port = start_shim().wait_for(ready=False)["port"]
    code, ended = start_shim(port=port).wait()
    assert code == 2
    assert ended.reason == "exited-at-start"
    assert f"127.0.0.1:{port}" in ended.detail


def test_a_working_directory_that_does_not_exist(start_shim, tmp_path):
    link = start_shim(env={"HOME": str(tmp_path)}, working_dir="/no/such/place").ready_link()
    asked = link.execute("import os; print(os.getcwd())")
    link.reply(asked)
    assert link.stdout(asked).strip() == str(tmp_path)


def test_exit_is_found_among_other_lines():
    ended = Exit("exited", "the kernel exited with code 1", 1, "a\nb")
    assert Exit.find(f"x\n{ended.to_line()}\n") == ended
