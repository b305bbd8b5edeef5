"""What is printed is only ever text."""

from __future__ import annotations

import json
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as some
from teamhub.cli.answers import print_fields, print_json, print_lines, print_table
from teamhub.supervisor.terminal import Terminal, printable

ANY = some.text(some.characters(), max_size=30)
"""Surrogates, which no terminal can be sent, among it."""


@given(ANY)
def test_what_is_printable_is_and_the_rest_is_escaped(text: str) -> None:
    assert printable(text).isprintable()
    assert printable(printable(text)) == printable(text)
    printable(text).encode()


def test_plain_text_stays_as_it_is() -> None:
    for text in ("Grüße aus 東京 🗼", "a\\b", "x" * 1000):
        assert printable(text) == text
    assert printable("a\u3000b\u00a0c") == "a b c"
    assert printable("one\ttwo\n", lines=True) == "one\ttwo\n"
    assert printable("\x1b[31m\r\n\t") == "\\x1b[31m\\r\\n\\t"


@given(some.lists(some.tuples(ANY, ANY), max_size=5))
def test_whatever_people_call_things(rows: list[tuple[str, str]]) -> None:
    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
        print_table(("ONE", "TWO"), rows)
        print_fields(("label", two) for _, two in rows)
        for one, two in rows:
            print_lines(one)
            Terminal().say(two)
    for text in (out.getvalue(), err.getvalue()):
        assert text.replace("\n", "").replace("\t", "").isprintable()
        text.encode()
    # A row is a line: no cell can look like another row.
    table = out.getvalue().splitlines()[: len(rows) + 1]
    assert len(table) == len(rows) + 1
    assert table[0].split() == ["ONE", "TWO"]
    assert err.getvalue().count("\n") == len(rows)


def test_json_has_what_was_meant(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"name": "evil \x1b[2J\u202e\udcff"}
    print_json(value)
    out = capsys.readouterr().out
    assert json.loads(out) == value
    assert out.replace("\n", "").isprintable()
    assert out.isascii()


def test_on_a_narrow_terminal_no_id_is_cut(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "60")
    rows = [("a1234567", "ada" * 10, "a note that goes on and on, over more than one line of it")]
    print_table(("ID", "USER", "NOTE"), rows)
    lines = capsys.readouterr().out.splitlines()
    assert rows[0][0] in lines[1]
    assert rows[0][1] in lines[1]
    assert len(lines) > 3
    assert "…" not in "".join(lines)


def test_in_a_pipe_a_row_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("ID", "NOTE"), [("a1", "x" * 500), ("東京", "")])
    assert capsys.readouterr().out.splitlines() == ["ID    NOTE", f"a1    {'x' * 500}", "東京"]
