"""Homes of members who leave: links are not followed, and nothing is lost half-way."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from teamhub import homes
from teamhub.config import Config
from teamhub.errors import TeamhubError
from teamhub.homes import archive_home, delete_home


@pytest.fixture
def config(tmp_path: Path) -> Config:
    config = Config(data_dir=tmp_path / "data")
    config.home_of("ada").mkdir(parents=True)
    return config


@pytest.fixture
def home(config: Config) -> Path:
    """A home with what homes have: folders, links out of it, a fifo, a socket."""
    home = config.home_of("ada")
    outside = config.data_dir / "outside"
    outside.mkdir()
    (outside / "precious").write_text("another's")
    (home / "work").mkdir()
    (home / "work" / "täst.ipynb").write_text("{}")
    (home / "out").symlink_to(outside)
    (home / "file-out").symlink_to(outside / "precious")
    (home / "broken").symlink_to("nowhere")
    os.mkfifo(home / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(home)  # the path of a socket has to be short
        try:
            listener.bind("socket")
        finally:
            os.chdir(here)
    return home


def contents(path: Path) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(path) as archive:
        return {member.name: member for member in archive.getmembers()}


def test_an_archive_has_all_and_follows_no_link(config: Config, home: Path) -> None:
    path = archive_home(config, "ada")
    assert path is not None
    assert path.parent == config.data_dir / "archive"
    assert path.name.startswith("ada-")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    found = contents(path)
    assert set(found) == {
        *("ada", "ada/work", "ada/work/täst.ipynb"),
        *("ada/out", "ada/file-out", "ada/broken", "ada/fifo"),
    }
    assert found["ada/out"].issym()
    assert found["ada/file-out"].issym()
    with tarfile.open(path) as archive:
        file = archive.extractfile("ada/work/täst.ipynb")
        assert file is not None
        assert file.read() == b"{}"
    assert not home.exists()
    assert (config.data_dir / "outside" / "precious").read_text() == "another's"


def test_deleting_follows_no_link(config: Config, home: Path) -> None:
    assert delete_home(config, "ada")
    assert not home.exists()
    assert (config.data_dir / "outside" / "precious").read_text() == "another's"
    assert not delete_home(config, "ada")


def test_a_home_that_is_a_link_is_none(config: Config, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.mkdir()
    (target / "kept").touch()
    config.home_of("eve").symlink_to(target)
    assert archive_home(config, "eve") is None
    assert not delete_home(config, "eve")
    assert (target / "kept").exists()
    assert not (config.data_dir / "archive").exists()
    assert archive_home(config, "nobody") is None


def test_two_archives_of_one_moment_are_two_files(config: Config) -> None:
    first = archive_home(config, "ada")
    found = [first]
    for _ in range(3):
        config.home_of("ada").mkdir()
        found.append(archive_home(config, "ada"))
    assert len({path for path in found if path and path.exists()}) == 4


def test_progress_is_told_and_may_end_it(config: Config) -> None:
    home = config.home_of("ada")
    for number in range(450):
        (home / str(number)).touch()

    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        archive_home(config, "ada", interrupted)
    assert list((config.data_dir / "archive").iterdir()) == []
    assert len(list(home.iterdir())) == 450
    told: list[int] = []
    assert archive_home(config, "ada", told.append)
    assert told == [200, 400]


def test_what_a_killed_one_has_left_goes_with_the_next(config: Config) -> None:
    directory = config.data_dir / "archive"
    directory.mkdir()
    left = directory / "ada-20260101T000000Z.tar.gz.unfinished"
    others = directory / "ada-b-20260101T000000Z.tar.gz.unfinished"
    older = directory / "ada-20260101T000000Z.tar.gz"
    for path in (left, others, older):
        path.touch()
    made = archive_home(config, "ada")
    assert set(directory.iterdir()) == {others, older, made}


def test_a_file_that_cannot_be_read_leaves_the_home_whole(
    config: Config, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted(path.name for path in home.rglob("*"))

    def broken(*_: object) -> None:
        raise OSError(5, "Input/output error", str(home / "work"))

    monkeypatch.setattr(homes, "_write", broken)
    with pytest.raises(TeamhubError) as raised:
        archive_home(config, "ada")
    assert str(raised.value) == (
        f"{home}: cannot be archived: {home / 'work'}: Input/output error; "
        "nothing of it was deleted"
    )
    assert sorted(path.name for path in home.rglob("*")) == before
    assert list((config.data_dir / "archive").iterdir()) == []


def test_an_archive_that_is_there_is_named_where_the_home_stays(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: object, **__: object) -> None:
        return None

    monkeypatch.setattr(shutil, "rmtree", refuses)
    with pytest.raises(TeamhubError, match=r"cannot be deleted.*it is archived in .*ada-"):
        archive_home(config, "ada")


_AS_NOBODY = """
import os, pathlib, sys
from teamhub.config import Config
from teamhub.homes import delete_home
root = pathlib.Path(sys.argv[1])
os.setgid(65534)
os.setuid(65534)
print(delete_home(Config(data_dir=root), "ada"), (root / "homes" / "ada").exists())
"""


@pytest.mark.root
def test_read_only_folders_are_deleted_by_whoever_owns_them() -> None:
    """As somebody who is not root, for whom a read-only folder is a hindrance."""
    with tempfile.TemporaryDirectory(prefix="th-") as folder:
        data_dir = Path(folder)
        cache = data_dir / "homes" / "ada" / "cache" / "inner"
        closed = data_dir / "homes" / "ada" / "closed"
        for path in (cache, closed):
            path.mkdir(parents=True)
            (path / "file").touch()
        for path in (data_dir, *data_dir.rglob("*")):
            os.chown(path, 65534, 65534)
        cache.chmod(0o555)
        cache.parent.chmod(0o500)
        closed.chmod(0o000)
        done = subprocess.run(
            [sys.executable, "-c", _AS_NOBODY, folder], capture_output=True, text=True, check=False
        )
        assert done.stdout == "True False\n", done.stderr


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    path = tmp_path / "small"
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", path], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("this machine mounts nothing")
    yield path
    subprocess.run(["umount", path], check=True)


@pytest.mark.root
def test_a_full_disk_leaves_the_home_whole(small_disk: Path) -> None:
    config = Config(data_dir=small_disk)
    home = config.home_of("ada")
    home.mkdir(parents=True)
    (home / "noise").write_bytes(os.urandom(700_000))
    with pytest.raises(TeamhubError) as raised:
        archive_home(config, "ada")
    assert "cannot be archived: No space left on device" in str(raised.value)
    assert (home / "noise").stat().st_size == 700_000
    assert list((small_disk / "archive").iterdir()) == []
    # With room, the same call does it.
    (home / "noise").write_bytes(b"x" * 700_000)
    assert archive_home(config, "ada") is not None
    assert not home.exists()
