"""The README's two commands where there is next to nothing, for somebody who is not root.

No Node.js, no compiler, no make: what is in PATH is what a minimal Debian has, the user has an
empty home and no rights. How to reach the package indexes is this machine's to know, by its
environment and its files for everybody.
"""

from __future__ import annotations

import http.client
import http.cookiejar
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from bad_input import free_port
from team import PASSWORD, ROOT, wait_until
from test_fresh_clone import machine_settings

UID = 54322
SET_UP_SECONDS = 600

MINIMAL = (
    *("sh", "cat", "chmod", "cksum", "cp", "cut", "date", "dirname", "env", "find", "grep", "head"),
    *("ln", "ls", "mkdir", "mktemp", "mv", "rm", "rmdir", "sed", "sort", "tail", "touch", "tr"),
    *("uname", "wc", "sleep", "git"),
)
"""Of coreutils, findutils, grep and sed what scripts use, and git, with which one clones."""

PYTHON = Path("/usr/bin/python3")

pytestmark = [
    pytest.mark.root,
    pytest.mark.timeout(2 * SET_UP_SECONDS),
    pytest.mark.skipif(
        not PYTHON.exists()
        or subprocess.run(
            [PYTHON, "-c", "import ensurepip, sys; sys.exit(sys.version_info < (3, 11))"],
            check=False,
            capture_output=True,
        ).returncode
        != 0,
        reason="this machine's own python3 is older than 3.11, or has no venv",
    ),
]


@dataclass(frozen=True)
class Stranger:
    """Somebody with a clone, an empty home, and an environment of their own."""

    clone: Path
    env: dict[str, str]

    def start(self, *command: str, log: Path) -> subprocess.Popen[bytes]:
        """Start a command in the clone; what it says goes to a log."""
        with log.open("w") as output:
            return subprocess.Popen(
                command,
                cwd=self.clone,
                env=self.env,
                user=UID,
                group=UID,
                extra_groups=[],
                umask=0o022,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )


@pytest.fixture
def stranger() -> Iterator[Stranger]:
    # Not below this user's own temporary directory, which is closed to others.
    folder = Path(tempfile.mkdtemp(prefix="th-bare-", dir="/tmp"))
    folder.chmod(0o755)
    tools, home, clone = folder / "bin", folder / "home", folder / "clone"
    tools.mkdir()
    tools.chmod(0o755)  # whatever umask other tests have left this process with
    for name in MINIMAL:
        found = shutil.which(name, path="/usr/bin:/bin")
        assert found is not None, name
        (tools / name).symlink_to(found)
    (tools / "python3").symlink_to(PYTHON)
    home.mkdir()
    subprocess.run(["git", "clone", "-q", f"file://{ROOT}", str(clone)], check=True, timeout=60)
    for path in (home, clone, *clone.rglob("*")):
        os.lchown(path, UID, UID)
    yield Stranger(
        clone,
        {**machine_settings(), "PATH": str(tools), "HOME": str(home), "LANG": "C.UTF-8"},
    )
    shutil.rmtree(folder)


class Browser:
    """A browser without a screen: cookies, forms, and the kernels' API as its pages use it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._cookies = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(self._cookies)
        )

    def get(self, path: str) -> tuple[str, str]:
        """Return where it led and what was there."""
        with self._opener.open(self.url + path, timeout=60) as response:
            return response.geturl(), response.read().decode()

    def post(self, path: str, **fields: str) -> tuple[str, str]:
        """Send a form with what the page's own would carry."""
        xsrf = next(c.value for c in self._cookies if c.name == "_xsrf")
        data = urllib.parse.urlencode({**fields, "_xsrf": xsrf}).encode()
        with self._opener.open(self.url + path, data, timeout=60) as response:
            return response.geturl(), response.read().decode()


def asked(url: str, token: str, body: Any = None) -> Any:
    """Ask the gateway as a script does."""
    request = urllib.request.Request(  # noqa: S310  our own
        url,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"token {token}"},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=60) as response:
        return json.load(response)


def signed_in(url: str, name: str, password: str) -> Browser:
    """Sign in with a one-time password, choose one, and end at a page of one's own."""
    browser = Browser(url)
    browser.get("/hub/login")
    where, page = browser.post("/hub/login", username=name, password=password)
    assert "new_password" in page or "new-password" in where, (where, page)
    form = re.search(r'<form[^>]*action="([^"]*)"', page)
    assert form is not None, page
    names = re.findall(r'<input[^>]*name="([^"]*)"', page)
    fields = {each: PASSWORD for each in names if "password" in each}
    hidden = dict(
        re.findall(r'<input[^>]*type="hidden"[^>]*name="([^"]*)"[^>]*value="([^"]*)"', page)
    )
    action = urllib.parse.urlsplit(urllib.parse.urljoin(where, form[1])).path
    where, page = browser.post(action, **{**hidden, **fields, "username": name})
    assert name in page, (where, page)
    return browser


def test_the_two_commands_with_next_to_nothing(stranger: Stranger) -> None:
    for missing in ("node", "npm", "gcc", "cc", "make"):
        assert shutil.which(missing, path=stranger.env["PATH"]) is None
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    log = stranger.clone.parent / "up.log"
    began = time.monotonic()
    up = stranger.start("./dev", "up", "--port", str(port), log=log)
    try:

        def ready() -> bool:
            assert up.poll() is None, log.read_text()
            return "one-time password: " in log.read_text()

        wait_until("the server is ready", ready, SET_UP_SECONDS)
        print(f"ready after {time.monotonic() - began:.0f} s")  # noqa: T201
        said = log.read_text()
        assert f"teamhub is ready: {url}\n" in said
        assert "as this machine has no node >= 20 with npm" in said
        password = re.search(r"one-time password: (\S+)", said)
        assert password is not None
        browser = signed_in(url, "admin", password[1])
        assert "admin" in browser.get("/hub/home")[1]

        done = subprocess.run(
            [
                *(stranger.clone / ".venv/bin/teamhub", "tokens", "create", "--user", "admin"),
                "--json",
            ],
            env=stranger.env,
            user=UID,
            group=UID,
            extra_groups=[],
            capture_output=True,
            check=True,
        )
        token = json.loads(done.stdout)["token"]
        gateway = f"{url}/services/gateway/api/kernels"
        kernel = asked(gateway, token, {"name": "python3"})["id"]

        def runs() -> bool:
            return bool(asked(f"{gateway}/{kernel}", token)["execution_state"] == "idle")

        wait_until("a kernel runs", runs, 120)
        children = psutil.Process(up.pid).children(recursive=True)
        assert {process.uids().real for process in children} == {UID}
    finally:
        up.send_signal(signal.SIGINT)
        assert up.wait(60) == 0, log.read_text()
    wait_until("nothing is left", lambda: not any(child.is_running() for child in children))
    assert "Traceback" not in log.read_text()

    tests = stranger.clone.parent / "test.log"
    test = stranger.start("./dev", "test", "-q", "tests/unit/config", log=tests)
    assert test.wait(SET_UP_SECONDS) == 0, tests.read_text()
    assert re.search(r"\d+ passed", tests.read_text())
    kept = {path.name for path in Path(stranger.env["HOME"]).iterdir()}
    assert kept <= {".cache", ".config", ".local", ".npm"}, "nothing that they would see"
