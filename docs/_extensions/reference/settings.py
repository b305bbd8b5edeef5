"""Every setting: what it means, what it should be, its default, and what a change of it takes."""

from __future__ import annotations

from collections.abc import Sequence

from teamhub.config.documentation import ENTRIES, Setting, settings, tables, toml
from teamhub.config.settings import Part

from reference.markdown import code, facts, heading, plain

_RESTARTS = {
    Part.HUB: "the hub",
    Part.GATEWAY: "the gateway with the dispatcher",
    Part.SERVER: "the team server",
}


def target(path: str) -> str:
    """Return the name by which pages link to a setting or a table."""
    return "setting-" + path.lower().replace(".", "-").replace("_", "-")


def page() -> str:
    """Return all settings, by table, in the order of the file."""
    known = settings()
    parts = [_setting(one) for one in known if not one.table]
    for path, text in tables().items():
        parts += [heading(code(f"[{path}]"), 2, target(path)), plain(text) + "\n"]
        entry, _ = ENTRIES.get(path.partition(".")[0], ("", None))
        if entry:
            parts.append(f"NAME is yours to choose; without a file there is {code(entry)}.\n")
        parts += [_setting(one) for one in known if one.table == path]
    return "\n".join(parts)


def restarts(parts: Sequence[Part]) -> str:
    """Return what a change starts again, in words."""
    if not parts:
        return "nothing: it holds at once"
    return " and ".join(_RESTARTS[part] for part in parts)


def _setting(one: Setting) -> str:
    about = [("Expected", plain(one.expected)), ("Default", _default(one))]
    if one.default is None or one.default in ({}, ()):
        about.append(("Example", code(f"{one.name} = {toml(one.example)}")))
    about.append(("A change restarts", restarts(one.restarts)))
    level = 3 if one.table else 2
    return "\n".join(
        [
            heading(code(one.path), level, target(one.path)),
            plain(one.text) + "\n",
            facts(about),
        ]
    )


def _default(one: Setting) -> str:
    if one.default is None:
        return "unset"
    return code(toml(one.default)) if one.default != {} else "empty"
