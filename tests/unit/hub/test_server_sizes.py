"""Sizes of notebook servers, without a hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from teamhub.config import Config, ServerSettings, SizeSettings
from teamhub.errors import RefusedError
from teamhub.hub.sizes import bytes_in_words, choices, chosen, form, in_words, size_to_start
from teamhub.model import Size

SIZES = {
    "small": SizeSettings(cpus=1),
    "large": SizeSettings(display_name="<Large>", memory=4 * 1024**3),
}


def config(*offered: str) -> Config:
    servers = ServerSettings(sizes=offered or None)
    return Config(data_dir=Path("/nowhere"), sizes=SIZES, servers=servers)


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (Size("s", "", 1, 512 * 1024**2), "1 CPU, 512 MiB of memory"),
        (Size("s", "", 0.5, 3 * 1024**3 // 2), "0.5 CPUs, 1.5 GiB of memory"),
        (Size("s", "", 2, None), "2 CPUs, memory not limited"),
        (Size("s", "", None, 1024**4), "1 TiB of memory, CPUs not limited"),
        (Size("s", "", None, None), "CPUs and memory are not limited"),
    ],
)
def test_sizes_in_words(size: Size, words: str) -> None:
    assert in_words(size) == words


def test_bytes_in_words() -> None:
    assert [bytes_in_words(n) for n in (0, 1023, 1024, 1536)] == [
        "0 bytes",
        "1023 bytes",
        "1 KiB",
        "1.5 KiB",
    ]


def test_there_is_a_choice_only_among_several() -> None:
    assert choices(config()) == ()
    assert choices(config("large")) == ()
    assert [one.name for one in choices(config("large", "small"))] == ["large", "small"]


def test_form_proposes_the_first_and_escapes() -> None:
    html = str(form(choices(config("large", "small"))))
    assert 'value="large" checked' in html
    assert html.count("checked") == 1
    assert "&lt;Large&gt;" in html


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({}, {}),
        ({"size": None}, {}),
        ({"size": "large"}, {"size": "large"}),
        ({"size": ["small"], "image": ["x"], "uid": 0}, {"size": "small"}),
    ],
)
def test_only_the_size_counts(options: dict[str, Any], kept: dict[str, str]) -> None:
    assert chosen(config("small", "large"), options) == kept


@pytest.mark.parametrize("size", ["huge", "", ["small", "large"], [], 7, {}, "x" * 9999, "a\nb"])
def test_what_is_not_offered_is_refused_in_one_line(size: object) -> None:
    for offered in ((), ("small",), ("small", "large")):
        with pytest.raises(RefusedError) as raised:
            chosen(config(*offered), {"size": size})
        assert len(str(raised.value).splitlines()) == 1
        assert len(str(raised.value)) < 200


def test_size_to_start_falls_back_to_the_proposed_one() -> None:
    assert size_to_start(config(), {"size": "large"}) is None
    assert size_to_start(config("small", "large"), {"size": "large"}) == "large"
    for options in ({}, {"size": "gone"}, {"size": ["large"]}, {"size": None}):
        assert size_to_start(config("small", "large"), options) == "small"
