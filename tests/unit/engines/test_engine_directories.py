"""Files that a workload may write are read as if it meant harm."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from teamhub.engines import directories
from teamhub.engines.directories import (
    SOCKET_NAME_BYTES,
    SOCKET_PATH_BYTES,
    Directories,
    Directory,
    make_private,
    sockets_path,
    valid_name,
)
from teamhub.errors import EngineError
from teamhub.model import Address, Handle

HANDLE = Handle("process", 1, {"pid": 1})


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    made = Directory(tmp_path / "w", tmp_path / "r")
    made.create(None, None)
    return made


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"port": 80, "ready": true}', (Address("127.0.0.1", 80), True)),
        ('{"port": 80}', (Address("127.0.0.1", 80), False)),
        ('{"port": 80, "ready": 1}', (Address("127.0.0.1", 80), False)),
        ('{"port": true, "ready": true}', (None, False)),
        ('{"port": 0, "ready": true}', (None, False)),
        ('{"port": 65536, "ready": true}', (None, False)),
        ('{"port": "80", "ready": true}', (None, False)),
        ('{"port": 80, "ready": tr', (None, False)),
        ("[1, 2]", (None, False)),
        ("[" * 4000, (None, False)),
        ("", (None, False)),
        (" " * 10000 + '{"port": 80, "ready": true}', (None, False)),
    ],
)
def test_addresses(directory: Directory, text: str, expected: tuple[Address | None, bool]) -> None:
    directory.address_file.write_text(text)
    assert directory.address() == expected


def test_an_address_that_is_no_file_of_its_own_is_none(
    directory: Directory, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text('{"port": 80, "ready": true}')
    directory.address_file.symlink_to(elsewhere)
    assert directory.address() == (None, False)
    directory.address_file.unlink()
    os.mkfifo(directory.address_file)  # reading it must not wait for a writer
    assert directory.address() == (None, False)
    directory.address_file.unlink()
    directory.address_file.mkdir()
    assert directory.address() == (None, False)


def test_records(directory: Directory) -> None:
    assert directory.handle() is None
    assert directory.exit_code() is None
    directory.write_handle(HANDLE)
    directory.write_exit(-9)
    assert directory.handle() == HANDLE
    assert directory.exit_code() == -9
    (directory.path / "handle.json").write_text('{"engine": 1}')
    assert directory.handle() is None


def test_wiping_twice_and_an_exit_after_that(directory: Directory) -> None:
    directory.wipe()
    directory.wipe()
    directory.write_exit(1)
    assert not directory.path.exists()
    assert not directory.runtime.exists()
    assert directory.owner() is None
    assert directory.log_lines(10) == ""


def test_wiping_does_not_follow_links(directory: Directory, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()
    (directory.runtime / "link").symlink_to(kept)
    directory.wipe()
    assert (kept / "file").exists()


def test_a_long_log_is_cut_and_its_end_kept(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directories, "LOG_BYTES", 1000)
    monkeypatch.setattr(directories, "KEPT_LOG_BYTES", 100)
    with directory.log.open("ab") as log:
        log.write(b"".join(b"line %d\n" % number for number in range(50)))
        log.flush()
        directory.cut_log()
        assert directory.log.stat().st_size > 0  # not yet too long
        log.write(b"".join(b"line %d\n" % number for number in range(50, 200)))
        log.flush()
        directory.cut_log()
        assert directory.log.stat().st_size == 0
        log.write(b"after the cut\n")
    assert directory.log_lines(3) == "line 198\nline 199\nafter the cut\n"
    for path in directory.path.glob("log*"):
        assert path.stat().st_size <= 100
        assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("length", [1, 30, 60, 100, 300])
def test_socket_paths_always_fit(tmp_path: Path, length: int) -> None:
    path = sockets_path(Path("/" + "x" * length), "deployment")
    assert len(str(path)) + 1 + 12 + 1 + SOCKET_NAME_BYTES <= SOCKET_PATH_BYTES
    assert (path == Path("/" + "x" * length) / "sockets") == (length < 60)


def test_deployments_with_long_names_have_sockets_of_their_own() -> None:
    far = Path("/" + "x" * 200)
    assert sockets_path(far, "a" * 90 + "1") != sockets_path(far, "a" * 90 + "2")
    assert sockets_path(far, "../x").parent == sockets_path(far, "y").parent


def test_a_directory_that_somebody_else_prepared_is_refused(tmp_path: Path) -> None:
    ours = tmp_path / "ours"
    make_private(ours, 0o700)
    make_private(ours, 0o700)
    link = tmp_path / "link"
    link.symlink_to(ours)
    file = tmp_path / "file"
    file.touch()
    for path in (link, file):
        with pytest.raises(EngineError, match="delete it"):
            make_private(path, 0o700)
    if os.geteuid() == 0:
        os.chown(ours, 65534, -1)
        with pytest.raises(EngineError, match="somebody else"):
            make_private(ours, 0o700)


def test_a_directory_that_is_too_open_is_closed(tmp_path: Path) -> None:
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    make_private(open_to_all, 0o700)
    assert open_to_all.stat().st_mode & 0o777 == 0o700


def test_ids_are_those_of_directories(tmp_path: Path) -> None:
    found = Directories(tmp_path, "d")
    found.open()
    (found.workloads / "b").mkdir()
    (found.workloads / "a").mkdir()
    (found.workloads / ".a.lock").touch()
    assert found.ids() == ["a", "b"]
    found.close()


@pytest.mark.parametrize("name", ["a", "A-1_2.3", "0" * 100])
def test_names(name: str) -> None:
    assert valid_name(name)


@pytest.mark.parametrize("name", ["", ".", "..", ".a", "a/b", "a\n", "ä", "0" * 101, "-a"])
def test_what_is_no_name(name: str) -> None:
    assert not valid_name(name)
