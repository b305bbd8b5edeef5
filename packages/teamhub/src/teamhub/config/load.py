"""How a file of settings is read, and what an error says: file, path, value, expected."""

from __future__ import annotations

import ast
import difflib
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from teamhub.config.documentation import ENTRIES, setting, toml_key
from teamhub.config.settings import Config
from teamhub.errors import ConfigError

CONFIG_NAME = "teamhub.toml"

_TWICE = re.compile(r"Cannot declare (\(.*\)) twice \((.*)\)")
_OVERWRITTEN = re.compile(r"Cannot overwrite a value \((.*)\)")
_TABLE_WANTED = {"model_type", "model_attributes_type", "dict_type", "mapping_type"}


def load(path: Path | None = None, overrides: Mapping[str, Any] | None = None) -> Config:
    """Read, check and return the settings.

    Args:
        path: the file. None: `teamhub.toml` in the data directory, or the defaults where there
            is no such file.
        overrides: dotted paths to values that win over the file (command line options); None
            values are left out. `data_dir` decides where `path=None` looks.

    Raises:
        ConfigError: the file cannot be read, is not TOML, or a setting is wrong. One line for
            each fault: file, path, value, expected.
    """
    chosen = {key: value for key, value in (overrides or {}).items() if value is not None}
    if path is None:
        default = Config.model_fields["data_dir"].default
        candidate = _at_home(Path(chosen.get("data_dir", default)), "data_dir") / CONFIG_NAME
        # A link that leads nowhere is one that cannot be read, not one that is not there.
        path = candidate if os.path.lexists(candidate) else None
    values: dict[str, Any] = {}
    if path is not None:
        path = _at_home(path, "--config")
        values = _read(path)
        _anchor(values, path)
    for dotted, value in chosen.items():
        *parents, last = dotted.split(".")
        table = values
        for parent in parents:
            table = table.setdefault(parent, {})
            if not isinstance(table, dict):
                break  # the check below says so
        else:
            table[last] = value
    return _validated(values, str(path) if path is not None else "options")


def load_text(text: str, path: Path) -> Config:
    """Return the settings that a file of this text would have, at this path. See `load`."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: is not valid TOML: {_not_toml(error)}") from None
    _anchor(values, path)
    return _validated(values, str(path))


def _validated(values: Mapping[str, Any], source: str) -> Config:
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(error, source))) from None


def _at_home(path: Path, source: str) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:
        raise ConfigError(
            f"{source}: {_shown(path)}: there is no home directory of that name; "
            "write the path in full"
        ) from None


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read: {error.strerror}; it should be a file that this user may read"
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path}: is not valid TOML: byte {error.start + 1} is not UTF-8; save it as UTF-8"
        ) from None
    except (ValueError, RecursionError) as error:
        # Not only what TOML forbids: also a number of thousands of digits, or brackets without end.
        why = _not_toml(error) if isinstance(error, ValueError) else "it is nested too deeply"
        raise ConfigError(f"{path}: is not valid TOML: {why}") from None


def _not_toml(error: ValueError) -> str:
    """Say what the parser says, of what is there twice in words."""
    if match := _TWICE.fullmatch(str(error)):
        keys = ".".join(map(toml_key, ast.literal_eval(match[1])))
        return (
            f"the table [{keys}] is there already ({match[2]}); put what is below this line below "
            "that one, and leave this line out"
        )
    if match := _OVERWRITTEN.fullmatch(str(error)):
        return f"what is set there is set already ({match[1]}); leave one of the two out"
    return str(error)


def _anchor(values: dict[str, Any], path: Path) -> None:
    """A relative data_dir in a file is meant from that file, not from where one happens to be."""
    data_dir = values.get("data_dir")
    if isinstance(data_dir, str):
        expanded = _at_home(Path(data_dir), f"{path}: data_dir")
        values["data_dir"] = str(path.absolute().parent / expanded)
    else:
        values.setdefault("data_dir", str(path.absolute().parent))


def _explain(error: ValidationError, source: str) -> Sequence[str]:
    lines = []
    for fault in error.errors():
        where = ".".join(_shown(part) for part in fault["loc"])
        message = fault["msg"].removeprefix("Value error, ")
        known = setting(where)
        if fault["type"] == "extra_forbidden":
            message = "there is no such setting" + _did_you_mean(fault["loc"])
            lines.append(f"{source}: {where}: {message}")
        elif not where:
            lines.append(f"{source}: {message}")
        else:
            if fault["type"] in _TABLE_WANTED:
                message = "should be a table"
            elif known is not None and fault["type"] != "value_error":
                message = f"should be {known.expected}"
            message = message[:1].lower() + message[1:]
            table = isinstance(fault["input"], Mapping)
            given = "a table" if table else _short(fault["input"])
            # What is wrong with a table as a whole says itself what that is.
            told = "" if table and fault["type"] == "value_error" else f", is {given}"
            lines.append(f"{source}: {where}: {message}{told}")
    return lines


def _shown(part: object) -> str:
    """A name or a path as it can be told in one line: whatever is not printable is escaped."""
    text = str(part)
    return text if text.isprintable() else repr(text)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _did_you_mean(loc: tuple[int | str, ...]) -> str:
    model: type[BaseModel] = Config
    for part in loc[:-1]:
        if part in ENTRIES:
            model = ENTRIES[str(part)][1]
            continue
        field = model.model_fields.get(str(part))
        if field and isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            model = field.annotation
    known = list(model.model_fields)
    close = difflib.get_close_matches(str(loc[-1]), known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known here: {', '.join(known)}"
