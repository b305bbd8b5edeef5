"""Settings, paths and addresses that are wrong: one line, and nothing has changed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from bad_input import POWERLESS, TEAMHUB, command, free_port, snapshot

SETTINGS = {
    "unknown": (
        "[proxy]\nprot = 1\n",
        "proxy.prot: there is no such setting; did you mean 'port'?",
    ),
    "unknown-table": ("[prxy]\nport = 1\n", "prxy: there is no such setting; did you mean"),
    "unknown-odd-name": (
        '"a\\nb" = 1\n',
        r"'a\nb': there is no such setting; known here: data_dir, proxy",
    ),
    "type": (
        "[proxy]\nport = 'x'\n",
        "proxy.port: should be a whole number from 1 to 65535, is 'x'",
    ),
    "range": ("[proxy]\nport = 0\n", "proxy.port: should be a whole number from 1 to 65535, is 0"),
    "infinite": ("[gateway]\nping_seconds = inf\n", "gateway.ping_seconds: should be "),
    "not-a-number": ("[gateway]\nping_seconds = nan\n", "gateway.ping_seconds: should be "),
    "no-table": ("proxy = 5\n", "proxy: should be a table, is 5"),
    "no-table-of-tables": ("sizes = 5\n", "sizes: should be a table, is 5"),
    "extra-no-table": ("[hub.extra]\nSpawner = 5\n", "hub.extra.Spawner: should be a table, is 5"),
    "toml": ("[proxy\n", "is not valid TOML: Expected ']'"),
    "toml-twice": (
        "[proxy]\nport = 1\nport = 2\n",
        "is not valid TOML: what is set there is set already",
    ),
    "toml-deep": ("a = " + "[" * 5000, "is not valid TOML: it is nested too deeply"),
    "toml-long-number": (f"a = {'9' * 5000}\n", "is not valid TOML: Exceeds the limit"),
    "latin-1": (b"[proxy]\n# f\xfcr uns\n", "is not valid TOML: byte 12 is not UTF-8; save it as"),
    "binary": (bytes(range(128, 256)), "is not valid TOML: byte 1 is not UTF-8"),
    "nul": (b"\0" * 100, "is not valid TOML: Invalid statement (at line 1, column 1)"),
    "data-dir-type": ("data_dir = 5\n", "data_dir: should be text, is 5"),
    "data-dir-nul": ('data_dir = "a\\u0000b"\n', "data_dir: should be a path without control"),
    "data-dir-lines": ('data_dir = "a\\nb"\n', "data_dir: should be a path without control"),
    "data-dir-home": (
        'data_dir = "~no-such-user/x"\n',
        "data_dir: ~no-such-user/x: there is no home directory of that name",
    ),
}

LATER = {
    "admin": ("[hub]\nadmin = '../root'\n", 2, "hub.admin: '../root' cannot be a user name"),
    "admin-letters": (
        "[hub]\nadmin = 'аdmin'\n",  # noqa: RUF001  the first letter is Cyrillic
        2,
        "cannot be a user name: use 1 to 32 of a-z",
    ),
    "proxy-command": (
        "[proxy]\ncommand = ['no-such-proxy']\n",
        2,
        "proxy.command: 'no-such-proxy' is not in PATH; install it with",
    ),
    "proxy-no-command": ("[proxy]\ncommand = []\n", 2, "proxy.command: a command is needed"),
    "store-url": ("[store]\nurl = 'nonsense'\n", 1, "store.url: should be a database's URL"),
    "store-url-nowhere": (
        "[store]\nurl = 'sqlite:////no/such/folder/x.sqlite'\n",
        1,
        "the database /no/such/folder/x.sqlite cannot be used: unable to open database file; it",
    ),
    "hub-url": ("[hub]\ndatabase_url = 'x'\n", 2, "hub.database_url: should be a database's URL"),
    "hub-url-kind": (
        "[hub]\ndatabase_url = 'oracel://x/y'\n",
        2,
        "hub.database_url: no kind of database is called 'oracel'; use sqlite or postgresql",
    ),
    "extra-type": (
        "[hub.extra.Spawner]\ndefault_url = 1\n",
        2,
        "hub.extra.Spawner.default_url: should be a unicode string, is 1",
    ),
    "uid": (
        "[engine.process]\nuid_per_member = 'yes'\n",
        2,
        "engine.process.uid_per_member: is yes, but ",
    ),
}


def up(data_dir: Path, *arguments: str | Path, code: int, **how: object) -> str:
    """Run `teamhub up`, which must not come up; return the one line that it says."""
    before = snapshot(data_dir)
    answer = command("up", "--data-dir", data_dir, *arguments, **how)  # type: ignore[arg-type]
    assert answer.code == code, answer
    assert snapshot(data_dir) == before
    return answer.said()


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data directory with nothing but what a test puts there."""
    path = tmp_path / "data"
    path.mkdir()
    return path


@pytest.mark.parametrize("case", SETTINGS)
def test_settings_that_are_wrong(data_dir: Path, case: str) -> None:
    text, said = SETTINGS[case]
    path = data_dir / "teamhub.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    before = snapshot(data_dir)
    for name in ("up", "status"):
        answer = command(name, "--config", path)
        assert answer.code == 2
        assert answer.said().startswith(f"teamhub: {path}: ")
        assert said in answer.said()
    assert snapshot(data_dir) == before


@pytest.mark.parametrize("case", LATER)
def test_settings_that_this_machine_cannot_follow(data_dir: Path, case: str) -> None:
    text, code, said = LATER[case]
    (data_dir / "teamhub.toml").write_text(text)
    assert said in up(
        data_dir, "--port", str(free_port()), code=code, prefix=POWERLESS if case == "uid" else ()
    )


def test_an_option_beside_a_table_that_is_none(data_dir: Path) -> None:
    (data_dir / "teamhub.toml").write_text("proxy = 5\n")
    assert "proxy: should be a table, is 5" in up(data_dir, "--port", "8123", code=2)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path.mkdir(), "cannot be read: Is a directory; it should be a file that"),
        (
            lambda path: path.symlink_to(path),
            "cannot be read: Too many levels of symbolic links; it should",
        ),
        (lambda path: (path.touch(), path.chmod(0)), "cannot be read: Permission denied; it"),
    ],
    ids=["directory", "loop", "closed"],
)
def test_a_file_of_settings_that_cannot_be_read(
    data_dir: Path, make: Callable[[Path], object], said: str
) -> None:
    make(data_dir / "teamhub.toml")
    assert said in up(data_dir, code=2, prefix=POWERLESS)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (None, "cannot be read: No such file or directory"),
        (lambda path: path.mkdir(), "is a directory; see `teamhub up --help`"),
        (lambda path: (path.touch(), path.chmod(0)), "is not readable; see `teamhub up --help`"),
    ],
    ids=["missing", "directory", "closed"],
)
def test_a_named_file_of_settings_that_cannot_be_read(
    tmp_path: Path, make: Callable[[Path], object] | None, said: str
) -> None:
    path = tmp_path / "named.toml"
    if make is not None:
        make(path)
    answer = command("up", "--config", path, prefix=POWERLESS)
    assert answer.code == 2
    assert said in answer.said()
    assert str(path) in answer.said()


def test_what_the_hub_would_ignore_is_said(data_dir: Path) -> None:
    (data_dir / "teamhub.toml").write_text(
        "[hub.extra.Spwaner]\nx = 1\n[hub.extra.Spawner]\ndefaulturl = '/tree'\n"
        "[hub.extra.WorkloadSpawner]\ndefault_url = '/tree'\n"
        "[hub.extra.JupyterHub]\nlog_level = 'INFO'\n"
    )
    source = (
        "import sys\nfrom pathlib import Path\nfrom teamhub.config import load\n"
        "from teamhub.hub.extra import check_extra\n"
        "print(*check_extra(load(Path(sys.argv[1])).hub.extra), sep='\\n')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", source, str(data_dir / "teamhub.toml")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [
        "hub.extra.Spwaner: the hub has no such class; did you mean 'Spawner'?; it is ignored",
        "hub.extra.Spawner.defaulturl: Spawner has no such setting; did you mean 'default_url'?; "
        "it is ignored",
    ]


# The address


def test_a_port_that_is_taken_and_by_whom(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = up(tmp_path / "none", "--port", str(port), code=1)
    assert said.startswith(f"teamhub: port {port} of 127.0.0.1 is in use by ")
    assert f"(process {os.getpid()}); stop that, or choose another port with --port" in said


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("no-such-host.invalid", "proxy.host: is 'no-such-host.invalid', but engine process is no"),
        ("a\\nb", r"proxy.host: is 'a\nb', but engine process is no border between members here"),
        ("::ffff", "proxy.host: is '::ffff', but engine process is no border between members"),
    ],
)
def test_an_address_for_others_where_members_share_a_uid(
    data_dir: Path, host: str, said: str
) -> None:
    (data_dir / "teamhub.toml").write_text(
        f'[proxy]\nhost = "{host}"\n[engine.process]\nuid_per_member = "no"\n'
    )
    assert said in up(data_dir, code=2)


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("no-such-host.invalid", "proxy.host: 'no-such-host.invalid' is no address; use 127.0.0.1"),
        ("a\\nb", r"proxy.host: 'a\nb' is no address; use 127.0.0.1 for this machine alone"),
        ("192.0.2.77", "proxy.host: 192.0.2.77 is not an address of this machine; use 127.0.0.1"),
        ("2001:db8::7", "proxy.host: [2001:db8::7] is not an address of this machine; use"),
    ],
)
def test_a_host_that_is_no_address_of_this_machine(data_dir: Path, host: str, said: str) -> None:
    # With the engine that runs nothing there is no border that such an address would cross.
    (data_dir / "teamhub.toml").write_text(f'[proxy]\nhost = "{host}"\n[engine]\nname = "fake"\n')
    assert said in up(data_dir, "--port", str(free_port()), code=1)


@pytest.mark.root
def test_a_port_below_1024_without_roots_powers(data_dir: Path) -> None:
    # In a network of its own, where no container has given such ports to everybody.
    alone = ("unshare", "-n", "sh", "-c", 'ip link set lo up; exec "$@"', "sh", *POWERLESS)
    assert up(data_dir, "--port", "80", code=1, prefix=alone) == (
        "teamhub: port 80 needs root's rights; choose one above 1023 with --port"
    )


# The data directory


@pytest.mark.parametrize(
    ("make", "name", "said"),
    [
        (lambda top: (top / "f").touch(), "f", "Directory '{}/f' is a file"),
        (lambda top: (top / "f").touch(), "f/x", "data_dir: {}/f/x: is not a directory; choose"),
        (lambda top: (top / "l").symlink_to("l"), "l", "Too many levels of symbolic links; choose"),
        (
            lambda top: (top / "l").symlink_to("l"),
            "l/x",
            "Too many levels of symbolic links; choose",
        ),
        (lambda top: (top / "l").symlink_to("no"), "l", "{}/l: is a link that leads nowhere"),
        (lambda _: None, "a" * 300, "is too long for this file system; choose another"),
        (lambda _: None, "a/" * 3000, "is too long for this file system; choose another"),
        (lambda top: (top / "d").mkdir(0o500), "d", "cannot be written: Permission denied; choose"),
        (lambda top: (top / "d").mkdir(0o500), "d/x", "cannot be written: Permission denied; "),
        (lambda top: (top / "d").mkdir(0), "d/x", "Permission denied; choose another with"),
        (
            lambda top: ((top / "d").mkdir(), (top / "d/secrets").touch()),
            "d",
            "data_dir: {}/d/secrets: is not a directory; choose another with --data-dir",
        ),
        (
            lambda top: [
                (top / "d" / name).mkdir(parents=True)
                for name in ("run/up.lock", "homes", "workloads", "logs", "secrets")
            ],
            "d",
            "data_dir: {}/d/run/up.lock: cannot be written: Is a directory; choose another",
        ),
    ],
    ids=[
        *("file", "in-file", "loop", "in-loop", "nowhere", "long-name", "long-path"),
        *("not-writable", "in-not-writable", "not-readable", "file-in-it", "lock-is-a-directory"),
    ],
)
def test_a_data_directory_that_cannot_be(
    tmp_path: Path, make: Callable[[Path], object], name: str, said: str
) -> None:
    make(tmp_path)
    before = snapshot(tmp_path)
    answer = command(
        *("up", "--data-dir", tmp_path / name, "--port", str(free_port())), prefix=POWERLESS
    )
    assert answer.code == 2
    assert said.format(tmp_path) in answer.said()
    assert len(answer.said()) < 300 + len(str(tmp_path))
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("name", ["up", "status", "down"])
def test_an_empty_path_is_not_the_present_directory(tmp_path: Path, name: str) -> None:
    answer = command(name, "--data-dir", "", cwd=tmp_path)
    assert (answer.code, snapshot(tmp_path).keys()) == (2, {str(tmp_path)})
    assert "invalid value for '--data-dir': it is empty; give a path" in answer.said()


def test_a_path_that_is_not_utf_8(tmp_path: Path) -> None:
    done = subprocess.run(
        [*TEAMHUB, "up", "--data-dir", os.fsencode(tmp_path) + b"/\xff"],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1
    assert b"should be a path without control characters" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.root
def test_a_data_directory_that_another_user_began(data_dir: Path) -> None:
    for name in ("run", "secrets"):
        (data_dir / name).mkdir()
        os.chown(data_dir / name, 54321, 54321)
    assert up(data_dir, "--port", str(free_port()), code=2) == (
        f"teamhub: data_dir: {data_dir}: belongs to uid 54321; start it as that user, or choose "
        "another with --data-dir"
    )
