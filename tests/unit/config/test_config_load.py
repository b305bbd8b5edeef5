"""Settings: how a file is read, and what an error says."""

from __future__ import annotations

from pathlib import Path

import pytest
from teamhub.config import load, parse_bytes
from teamhub.errors import ConfigError


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[proxy]\nport = 99999",
            "proxy.port: should be a whole number from 1 to 65535, is 99999",
        ),
        ("[proxy]\nprot = 1", "proxy.prot: there is no such setting; did you mean 'port'?"),
        ("[prox]\nport = 1", "prox: there is no such setting; did you mean 'proxy'?"),
        ("[sizes.big]\nmemory = 'lots'", "sizes.big.memory: should be a number of bytes"),
        ("[sizes.big]\ncpu = 2", "sizes.big.cpu: there is no such setting; did you mean 'cpus'?"),
        (
            "[sizes.'Big One']\ncpus = 2",
            "sizes: the name 'Big One' should be of a-z, 0-9, '.', '_' and '-'",
        ),
        ("[proxy.port]\nx = 1", "proxy.port: should be a whole number from 1 to 65535, is a table"),
        ("[servers]\nsizes = ['big']", "servers.sizes: no size is called 'big'"),
        (
            "[servers]\nsize = 'big'",
            "servers.size: there is no such setting; did you mean 'sizes'?",
        ),
        (
            "[accounts]\nsign_up = 'open'",
            'accounts.sign_up: should be "approval" or "closed", is \'open\'',
        ),
        ("[logs]\nkeep_bytes = 1", "logs.keep_bytes: should be bytes, or text such as"),
        (
            "[hub]\nadmin = 'a'\n[hub]\nadmin = 'b'",
            "is not valid TOML: the table [hub] is there already (at line 3, column 5); put "
            "what is below this line below that one",
        ),
        (
            "[hub]\nadmin = 'a'\nadmin = 'b'\n",
            "what is set there is set already (at line 3, column 12); leave one of the two out",
        ),
        ("[environments]", "environments: at least one entry is needed"),
        ("[proxy\n", "is not valid TOML"),
    ],
)
def test_an_error_names_file_path_and_what_was_expected(
    tmp_path: Path, text: str, said: str
) -> None:
    path = write(tmp_path / "teamhub.toml", text)
    with pytest.raises(ConfigError) as caught:
        load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert said in message
    assert "\n" not in message
    assert "{" not in message
    assert caught.value.exit_code == 2


def test_an_environment_without_a_display_name_has_its_own(tmp_path: Path) -> None:
    path = write(tmp_path / "teamhub.toml", "[environments.r]\nlanguage = 'R'")
    assert load(path).environment("r").display_name == "r"
    assert load(None, {"data_dir": str(tmp_path / "x")}).environment("python3").display_name == (
        "Python 3"
    )


def test_each_fault_has_a_line(tmp_path: Path) -> None:
    path = write(tmp_path / "teamhub.toml", "[proxy]\nport = 0\n[kernels]\nper_user = 'x'")
    with pytest.raises(ConfigError) as caught:
        load(path)
    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    assert all(line.startswith(f"{path}: ") for line in lines)


def test_a_missing_file_is_an_error_when_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "none.toml")


def test_without_a_file_the_one_in_the_data_directory_counts(tmp_path: Path) -> None:
    write(tmp_path / "teamhub.toml", "[proxy]\nport = 8123")
    config = load(None, {"data_dir": str(tmp_path)})
    assert config.proxy.port == 8123
    assert config.data_dir == tmp_path


def test_options_win_over_the_file_and_none_is_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "teamhub.toml", "[proxy]\nport = 8123")
    assert load(path, {"proxy.port": 8200, "hub.admin": None}).proxy.port == 8200
    assert load(path, {"proxy.port": None}).proxy.port == 8123


def test_a_relative_data_dir_is_meant_from_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    path = write(tmp_path / "a.toml", "data_dir = 'data'")
    assert load(path).data_dir == tmp_path / "data"
    assert load(write(tmp_path / "b.toml", "")).data_dir == tmp_path


@pytest.mark.parametrize(
    ("text", "number"),
    [("1024", 1024), ("512 MiB", 512 * 1024**2), ("4G", 4 * 1024**3), ("1.5 KiB", 1536)],
)
def test_bytes(text: str, number: int) -> None:
    assert parse_bytes(text) == number


@pytest.mark.parametrize("text", ["", "four", "-1", "1 PB", "1 GiB extra"])
def test_what_is_not_bytes(text: str) -> None:
    with pytest.raises(ValueError, match="should be a number of bytes"):
        parse_bytes(text)
