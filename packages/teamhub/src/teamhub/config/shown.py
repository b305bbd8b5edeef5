"""Settings with their values as a person or a program is shown them: without secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from teamhub.config.documentation import ENTRIES, bytes_in_words, setting, toml, toml_key
from teamhub.config.settings import Config

MASK = "***"
_URL_PASSWORD = re.compile(r"(\w://[^/@:\s]*:)[^\s]*(@)")
_SECRET_NAME = re.compile(r"secret|passw|token|credential|(^|_)key($|_)|cookie", re.IGNORECASE)


def masked(value: Any, name: str = "") -> Any:
    """Return a value without secrets: passwords in addresses, and texts whose name says secret.

    Args:
        value: a setting's value, or a part of one.
        name: the last part of its path, or its key in a table.
    """
    if isinstance(value, BaseModel):
        return {each: masked(getattr(value, each), each) for each in type(value).model_fields}
    if isinstance(value, Mapping):
        return {key: masked(each, str(key)) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [masked(each, name) for each in value]
    if isinstance(value, (str, bytes)) and value and _SECRET_NAME.search(name):
        return MASK
    if isinstance(value, str):
        return _URL_PASSWORD.sub(rf"\1{MASK}\2", value)
    return value if isinstance(value, (bool, int, float, type(None))) else str(value)


def in_words(path: str, value: Any) -> str:
    """Return a setting's value for a sentence: as in a file, bytes in units, secrets masked."""
    if value is None:
        return "unset"
    known = setting(path)
    if known is not None and known.expected.startswith("bytes") and isinstance(value, int):
        return toml(bytes_in_words(value))
    return toml(masked(value, path.rpartition(".")[2]))


def lines(config: Config, path: str = "", *, changed: bool = False) -> list[str]:
    """Return settings as lines of TOML, secrets masked; what has no value is a comment.

    Args:
        config: the settings.
        path: a table or a setting, dotted, with an entry's real name; empty: all.
        changed: only those that have another value than their default.
    """
    found = list(_lines(config, Config(), "", path, changed=changed))
    return found[1:] if found[:1] == [""] else found


def _lines(
    model: BaseModel, default: BaseModel | None, table: str, path: str, *, changed: bool
) -> Iterator[str]:
    own, inner = [], []
    for name, field in type(model).model_fields.items():
        where = f"{table}.{name}" if table else name
        value = getattr(model, name)
        usual = None if default is None else getattr(default, name)
        if isinstance(value, BaseModel):
            inner += list(_lines(value, usual, where, path, changed=changed))
        elif not table and name in ENTRIES:
            for entry, one in value.items():
                known = (usual or {}).get(entry)
                inside = f"{name}.{entry}"
                inner += list(_lines(one, known, inside, path, changed=changed))
        elif _wanted(where, path):
            if default is None:
                usual = field.get_default(call_default_factory=True)
            if value == usual and changed:
                continue
            unset = f"# {toml_key(name)} is unset"
            own.append(unset if value is None else f"{toml_key(name)} = {in_words(where, value)}")
    # Tables of a file come after what is in none.
    if own or (default is None and not path):
        yield from ["", f"[{_header(table)}]", *own] if table else own
    yield from inner


def _header(table: str) -> str:
    first, dot, rest = table.partition(".")
    return f"{first}.{toml_key(rest)}" if dot and first in ENTRIES else table


def _wanted(where: str, path: str) -> bool:
    return not path or where == path or where.startswith(f"{path}.")
