"""What is written about the settings: the example file, and each one with all that is known of it.

Everything here is made from `settings`, so that it cannot say anything else.
"""

from __future__ import annotations

import difflib
import json
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from teamhub.config.settings import (
    DEFAULT_DATA_DIR,
    Bytes,
    Config,
    EnvironmentSettings,
    Part,
    Restarts,
    Section,
    SizeSettings,
)
from teamhub.errors import ConfigError

ENTRIES: Mapping[str, tuple[str, type[Section]]] = {
    "sizes": ("standard", SizeSettings),
    "environments": ("python3", EnvironmentSettings),
}
"""The tables that a team fills itself: the name of the entry that is there without a file, and
what an entry may have."""

_COLUMNS = 98
_BYTE_UNITS = (("TiB", 1024**4), ("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024))
_TYPES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list of texts",
    "object": "a table",
}

_HEAD = """\
# Every setting of teamhub, with its default.
#
# Copy what you want to change into DATA_DIR/teamhub.toml, or name another file with --config.
# Nothing need be set: without a file all of this holds. Settings that are commented out have no
# value by default; what they then mean is said beside them. Secrets are no settings: they are made
# at the first start, in DATA_DIR/secrets.
"""


_OWN_HEAD = """\
# The settings of a team server.
#
# What is commented out shows the default. Take the # away to set it, also that before the name of
# its table where there is one. `teamhub config check` says whether the file is right and what a
# change takes; `teamhub config apply` puts it in force. Secrets are no settings: they are made at
# the first start, in secrets/.
"""
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_TERMINAL_COLUMNS = 78


@dataclass(frozen=True)
class Setting:
    """One setting, as a person wants to read of it.

    Attributes:
        path: dotted; NAME stands for an entry of a table that a team fills itself.
        text: its documentation.
        expected: what a value should be, in words.
        default: the value without a file; None: unset.
        example: a value to show where it is unset.
        restarts: what is started again when it changes.
    """

    path: str
    text: str
    expected: str
    default: Any
    example: Any
    restarts: tuple[Part, ...]

    @property
    def table(self) -> str:
        """The table of the file that it is in; empty for the top."""
        return self.path.rpartition(".")[0]

    @property
    def name(self) -> str:
        """Its name within the table."""
        return self.path.rpartition(".")[2]


def settings() -> Sequence[Setting]:
    """Return every setting there is, in the order of the file."""
    return list(_settings(Config, ""))


def tables() -> Mapping[str, str]:
    """Return every table by its dotted path, with its documentation, in the order of the file."""
    return {path: _text(model.__doc__) for path, model in _tables(Config, "")}


def setting(path: str) -> Setting | None:
    """Return what is known of a setting, None where there is none of that path.

    Args:
        path: dotted, an entry's real name or NAME in it: `sizes.big.cpus`.
    """
    wanted = ".".join(_generic(path))
    return next((one for one in settings() if one.path == wanted), None)


def did_you_mean(path: str, *, also: Iterable[str] = ()) -> str:
    """Return the end of a sentence about a setting that there is not: which one may be meant.

    Args:
        path: dotted, an entry's real name in it.
        also: other paths that may be meant, such as those of tables.
    """
    entry = _entry_of(path)
    names = [*also, *(one.path for one in settings())]
    close = difflib.get_close_matches(".".join(_generic(path)), names, n=1, cutoff=0.6)
    if not close:
        return "; `teamhub config docs` lists them"
    meant = close[0].replace(".NAME.", f".{entry}.") if entry else close[0]
    return f"; did you mean {meant!r}?"


def _entry_of(path: str) -> str | None:
    """Return the name of the entry in the path of a setting, None where it is of no such table."""
    first, *between, _ = path.split(".") if path.count(".") > 1 else ("", "")
    return ".".join(between) if first in ENTRIES else None


def _generic(path: str) -> list[str]:
    """Return the parts of a path, with NAME for an entry's name, which may have dots in it."""
    parts = path.split(".")
    if len(parts) > 2 and parts[0] in ENTRIES:
        return [parts[0], "NAME", parts[-1]]
    return parts


def example_toml(values: Mapping[str, Any] | None = None, head: str = _HEAD) -> str:
    """Return a file with every setting explained.

    Args:
        values: by dotted path, settings that have another value than their default.
        head: comment lines before the first setting.
    """
    return _file(dict(values or {}), head, everything=True)


def settings_toml(values: Mapping[str, Any], head: str = _OWN_HEAD) -> str:
    """Return a file with every setting explained, in which only the chosen ones are set.

    All others are commented out, so that a default which changes with a later teamhub holds.

    Args:
        values: by dotted path. With an entry of a table that a team fills itself, such as
            `sizes.big.memory`, the one that is there without a file stays, and stays the first.
        head: comment lines before the first setting.

    Raises:
        ConfigError: there is no such setting.
    """
    for path in values:
        if setting(path) is None or _entry_of(path) == "NAME":
            raise ConfigError(f"{path}: there is no such setting{did_you_mean(path)}")
    return _file(dict(values), head, everything=False)


def documentation_markdown(path: str = "") -> str:
    """Return the reference: a heading for each table, and its settings with all that is known.

    Args:
        path: of a table or a setting, dotted; empty: of all.
    """
    lines: list[str] = []
    described = {"": "Settings that are in no table.", **tables()}
    for table, text in described.items():
        inside = [one for one in settings() if one.table == table and within(one.path, path)]
        if not inside:
            continue
        lines += [f"## `[{table}]`" if table else "## At the top", "", text, ""]
        for one in inside:
            lines += [f"### `{one.name}`", "", one.text, ""]
            lines += [f"- {name}: {words}" for name, words in _facts(one, "`")]
            lines.append("")
    return "\n".join(lines)


def documentation_text(path: str = "") -> str:
    """Return the same for a terminal; see `documentation_markdown`."""
    lines: list[str] = []
    described = {"": "", **tables()}
    for table, text in described.items():
        inside = [one for one in settings() if one.table == table and within(one.path, path)]
        if not inside:
            continue
        if table and len(inside) > 1:
            lines += [f"[{table}]", *textwrap.wrap(text, _TERMINAL_COLUMNS), ""]
        for one in inside:
            lines.append(one.path)
            lines += [f"  {line}" for line in textwrap.wrap(one.text, _TERMINAL_COLUMNS - 2)]
            lines += [f"  {name + ':':<9} {words}" for name, words in _facts(one)]
            lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def within(path: str, wanted: str) -> bool:
    """Return whether a setting's path is the wanted one, or in the wanted table.

    `NAME` in the path stands for any entry's name in the wanted one. Nothing wanted: true.
    """
    if not wanted:
        return True
    parts, asked = path.split("."), _generic(wanted)
    return len(asked) <= len(parts) and all(
        one in {other, "NAME"} for one, other in zip(parts, asked, strict=False)
    )


def restarts_in_words(parts: Sequence[Part]) -> str:
    """Return what a change of a setting takes, as a part of a sentence."""
    if Part.SERVER in parts:
        return "holds after a restart of everything (kernels can go on)"
    if not parts:
        return "holds at once"
    names = " and ".join(f"the {part.value}" for part in sorted(parts))
    return f"`teamhub config apply` restarts {names}; kernels go on"


def _facts(one: Setting, quote: str = "") -> Iterator[tuple[str, str]]:
    yield "expected", one.expected
    if one.default is None:
        yield "default", f"unset; for example {quote}{toml(one.example)}{quote}"
    else:
        yield "default", f"{quote}{toml(one.default)}{quote}"
    yield "a change", restarts_in_words(one.restarts)


def _file(chosen: Mapping[str, Any], head: str, *, everything: bool) -> str:
    known = list(settings())
    lines = [head]
    for one in known:
        if not one.table:
            lines += _lines(one, chosen, everything=everything)
    for table, text in tables().items():
        entry, model = ENTRIES.get(table.partition(".")[0], ("", None))
        shown = table.replace("NAME", entry)
        inside = [one for one in known if one.table == table]
        # Other entries are added to it: of those in a file alone, it would be gone.
        picked = any(path.startswith(table.removesuffix("NAME")) for path in chosen)
        # Those of the entry that is there without a file; one that is in the file has to say them.
        usual = {f"{shown}.{name}": value for name, value in _own(table).items()}
        off = "# " if model is not None and not (everything or picked) else ""
        lines += ["", *_comment(text)]
        if inside:
            lines.append(f"{off}[{shown}]")
        for one in (one for one in inside if not _is_table(one)):
            path = f"{shown}.{one.name}"
            always = everything or (picked and path in usual)
            here = replace(one, default=usual.get(path, one.default))
            lines += _lines(here, chosen, shown, everything=always)
        for one in filter(_is_table, inside):
            lines += ["", *_comment(one.text), *_subtable(one, shown, chosen, off)]
        lines += _others(table, chosen)
    return "\n".join(lines) + "\n"


def _others(table: str, chosen: Mapping[str, Any]) -> Iterator[str]:
    """Show the entries of a table that are not there without a file, what is chosen of each."""
    first, _, name = table.partition(".")
    if name != "NAME":
        return
    entries: dict[str, list[str]] = {}
    for path, value in chosen.items():
        entry = _entry_of(path)
        if path.startswith(f"{first}.") and entry not in {None, ENTRIES[first][0]}:
            line = f"{path.rpartition('.')[2]} = {toml(value)}"
            entries.setdefault(str(entry), []).append(line)
    for entry, inside in entries.items():
        yield from ("", f"[{first}.{toml_key(entry)}]", *inside)


def _own(table: str) -> Mapping[str, Any]:
    """Return what the entry that is there without a file has otherwise than a new entry."""
    first = table.partition(".")[0]
    if first not in ENTRIES:
        return {}
    entry, model = ENTRIES[first]
    there, new = getattr(Config(), first)[entry], model()
    names = type(there).model_fields
    return {
        name: getattr(there, name) for name in names if getattr(there, name) != getattr(new, name)
    }


def toml(value: Any) -> str:
    """Return a value as it stands in a file."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        inside = ", ".join(f"{toml_key(key)} = {toml(each)}" for key, each in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, (int, float)):
        return str(value)
    # A basic string of TOML has JSON's escapes, but for DEL.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


def toml_key(name: str) -> str:
    """Return a key as it stands in a file: bare where it may be."""
    return name if _BARE_KEY.fullmatch(name) else toml(name)


def bytes_in_words(number: int) -> str:
    """Return a number of bytes in its largest whole unit: "64 MiB"."""
    for unit, size in _BYTE_UNITS:
        if number and number % size == 0:
            return f"{number // size} {unit}"
    return str(number)


def _settings(model: type[BaseModel], prefix: str) -> Iterator[Setting]:
    schema = model.model_json_schema()["properties"]
    for name, field in model.model_fields.items():
        path = f"{prefix}{name}"
        if not prefix and name in ENTRIES:
            yield from _settings(ENTRIES[name][1], f"{path}.NAME.")
        elif isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _settings(field.annotation, f"{path}.")
        else:
            yield _setting(model, path, field, schema[name])


def _setting(
    model: type[BaseModel], path: str, field: FieldInfo, schema: Mapping[str, Any]
) -> Setting:
    of_table: Restarts = getattr(model, "restarts", Restarts((Part.SERVER,)))
    own = next((each for each in field.metadata if isinstance(each, Restarts)), of_table)
    default = field.get_default(call_default_factory=True)
    example = (field.examples or [default])[0]
    if _is_bytes(field):
        default = bytes_in_words(default) if default is not None else None
    if path == "data_dir":
        default = DEFAULT_DATA_DIR
    return Setting(
        path=path,
        text=_text(field.description),
        expected=_expected(schema) if not _is_bytes(field) else 'bytes, or text such as "4 GiB"',
        default=default,
        example=example,
        restarts=own.parts,
    )


def _tables(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, type[BaseModel]]]:
    for name, field in model.model_fields.items():
        if not prefix and name in ENTRIES:
            yield f"{name}.NAME", ENTRIES[name][1]
        elif isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield f"{prefix}{name}", field.annotation
            yield from _tables(field.annotation, f"{prefix}{name}.")


def _is_bytes(field: FieldInfo) -> bool:
    mark = next(each for each in get_args(Bytes) if not isinstance(each, (type, FieldInfo)))
    kinds = [*field.metadata, *(m for a in get_args(field.annotation) for m in get_args(a))]
    return mark in kinds


def _expected(schema: Mapping[str, Any]) -> str:
    """Say what a JSON schema allows, in words."""
    kinds = schema.get("anyOf", [schema])
    kind: Mapping[str, Any] = next((each for each in kinds if each.get("type") != "null"), {})
    if "enum" in kind:
        return " or ".join(toml(value) for value in kind["enum"])
    words = _TYPES.get(kind.get("type", ""), "text")
    low, high = kind.get("minimum"), kind.get("maximum")
    if low is not None and high is not None:
        return f"{words} from {low} to {high}"
    if low is not None:
        return f"{words}, {low} or more"
    if "exclusiveMinimum" in kind:
        return f"{words} greater than {kind['exclusiveMinimum']:g}"
    return words


def _text(docstring: str | None) -> str:
    return " ".join((docstring or "").split())


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text, _COLUMNS, break_on_hyphens=False)]


def _is_table(one: Setting) -> bool:
    return isinstance(one.default, Mapping)


def _lines(
    one: Setting, chosen: Mapping[str, Any], table: str = "", *, everything: bool
) -> list[str]:
    path = f"{table}.{one.name}" if table else one.name
    if path in chosen:
        line = f"{one.name} = {toml(chosen[path])}"
    elif one.default is None:
        line = f"# {one.name} = {toml(one.example)}"
    elif everything:
        line = f"{one.name} = {toml(one.default)}"
    else:
        line = f"# {one.name} = {toml(one.default)}"
    return [*_comment(one.text), line]


def _subtable(one: Setting, table: str, chosen: Mapping[str, Any], off: str) -> list[str]:
    """Show a setting that is a table by what was chosen, or by its example, commented out."""
    path = f"{table}.{one.name}"
    if path in chosen:
        return [f"[{path}]", *(f"{toml_key(k)} = {toml(v)}" for k, v in chosen[path].items())]
    lines = [f"{off}[{path}]"]
    for key, value in one.example.items():
        if isinstance(value, Mapping):
            lines.append(f"# [{path}.{key}]")
            lines += [f"# {inner} = {toml(each)}" for inner, each in value.items()]
        else:
            lines.append(f"# {key} = {toml(value)}")
    return lines
