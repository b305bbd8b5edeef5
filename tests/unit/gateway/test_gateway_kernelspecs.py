"""Kernelspecs: an environment times a size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from teamhub.config import Config
from teamhub.gateway.kernelspecs import Kernelspecs

BASE = "/services/gateway"


@pytest.fixture
def resources(tmp_path: Path) -> Path:
    folder = tmp_path / "resources"
    folder.mkdir()
    for name in ("logo-64x64.png", "logo-svg.svg", "kernel.js", "kernel.json", "secret.txt"):
        (folder / name).write_text(name)
    (folder / "logo-folder").mkdir()
    (tmp_path / "outside.txt").write_text("outside")
    return folder


def specs(tmp_path: Path, **environments: Any) -> Kernelspecs:
    sizes = {"small": {"display_name": "small"}, "gpu": {"display_name": "1 GPU"}, "plain": {}}
    config = Config.model_validate(
        {"data_dir": tmp_path, "sizes": sizes, "environments": environments}
    )
    return Kernelspecs(config, BASE)


def test_the_first_size_has_the_environments_name(tmp_path: Path) -> None:
    found = specs(
        tmp_path,
        python3={"display_name": "Python 3", "sizes": ["small", "gpu"]},
        r={"display_name": "R", "sizes": ["plain"]},
    )
    models = found.models()
    assert models["default"] == "python3"
    titles = {name: model["spec"]["display_name"] for name, model in models["kernelspecs"].items()}
    assert titles == {
        "python3": "Python 3 · small",
        "python3-gpu": "Python 3 · 1 GPU",
        "r": "R",
    }
    spec = found.get("python3-gpu")
    assert spec is not None
    assert (spec.name, spec.environment, spec.size) == ("python3-gpu", "python3", "gpu")
    assert found.get("python3-small") is None
    assert found.get("nothing") is None
    assert found.get(None) == found.get("python3")
    assert found.get("") == found.get("python3")


def test_all_sizes_where_none_are_named(tmp_path: Path) -> None:
    found = specs(tmp_path, python3={"display_name": "Python 3"})
    assert list(found.models()["kernelspecs"]) == ["python3", "python3-gpu", "python3-plain"]


def test_the_default_is_one_that_there_is(tmp_path: Path) -> None:
    assert specs(tmp_path, julia={"display_name": "Julia"}).default == "julia"


def test_two_kernelspecs_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"environments\.python3-gpu: .*rename one"):
        specs(
            tmp_path,
            python3={"display_name": "Python 3", "sizes": ["small", "gpu"]},
            **{"python3-gpu": {"display_name": "Mine", "sizes": ["plain"]}},
        )


def test_what_a_client_is_shown(tmp_path: Path, resources: Path) -> None:
    found = specs(
        tmp_path,
        r={
            "display_name": "R",
            "argv": ["R", "-f", "{connection_file}"],
            "language": "R",
            "interrupt_mode": "message",
            "env": {"SECRET": "s"},
            "metadata": {"a": 1},
            "sizes": ["plain"],
            "resource_dir": str(resources),
        },
    )
    model = found.models()["kernelspecs"]["r"]
    assert model["name"] == "r"
    assert model["spec"] == {
        "argv": ["R", "-f", "{connection_file}"],
        "env": {},
        "display_name": "R",
        "language": "R",
        "interrupt_mode": "message",
        "metadata": {"a": 1},
    }
    assert model["resources"] == {
        "logo-64x64": f"{BASE}/kernelspecs/r/logo-64x64.png",
        "logo-svg": f"{BASE}/kernelspecs/r/logo-svg.svg",
        "kernel.js": f"{BASE}/kernelspecs/r/kernel.js",
    }


def test_resources(tmp_path: Path, resources: Path) -> None:
    python = {"display_name": "P", "sizes": ["plain"], "resource_dir": str(resources)}
    found = specs(tmp_path, p=python, q={"display_name": "Q", "sizes": ["plain"], "argv": ["q"]})
    assert found.resource("p", "logo-64x64.png") == resources / "logo-64x64.png"
    for name in (
        "secret.txt",
        "kernel.json",
        "logo-folder",
        "logo-nothing",
        "../outside.txt",
        "logo-/../../outside.txt",
        "/etc/passwd",
        "",
        ".",
        "logo-64x64.png\0",
    ):
        assert found.resource("p", name) is None, name
    assert found.resource("q", "logo-64x64.png") is None
    assert found.resource("nothing", "logo-64x64.png") is None
    assert found.resource("", "logo-64x64.png") is None


def test_a_resource_folder_that_is_no_more(tmp_path: Path) -> None:
    gone = {"display_name": "P", "sizes": ["plain"], "resource_dir": str(tmp_path / "gone")}
    found = specs(tmp_path, p=gone)
    assert found.models()["kernelspecs"]["p"]["resources"] == {}
    assert found.resource("p", "logo-64x64.png") is None
