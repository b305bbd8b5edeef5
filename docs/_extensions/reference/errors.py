"""Errors: their kinds with exit statuses and remedies, the reasons, and every single message."""

from __future__ import annotations

import ast
import importlib
import inspect
import itertools
import pkgutil
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import teamhub
from teamhub.cli.main import INTERRUPTED
from teamhub.errors import TeamhubError
from teamhub.hub.failures import _WORDS
from teamhub.reasons import Reason

from reference.markdown import code, facts, heading, plain, table

ROOT = Path(__file__).parents[3]

USAGE = "UsageError"
"""What the command line says of arguments; click's own sentences are not listed."""

_USAGE = {"fail", "BadParameter", "ClickException", "UsageError"}
_LEFT_OUT = {"teamhub.hub.jupyterhub_config", "teamhub.store.migrations"}
_PARTS = (
    ("teamhub.cli", "The command line"),
    ("teamhub.config", "Settings"),
    ("teamhub.accounts", "Names and passwords"),
    ("teamhub.supervisor", "`teamhub up` and `teamhub down`"),
    ("teamhub.hub", "The hub's pages"),
    ("teamhub.gateway", "The kernel API"),
    ("teamhub.store", "The database"),
    ("teamhub", "Everything else"),
)
"""What messages are listed under: the first that a module's name begins with."""


@dataclass(frozen=True)
class Message:
    """One message that somebody may read, as it is in the code.

    Attributes:
        module: whose.
        kind: the name of the error's class.
        text: the message; "…" stands for what is filled in.
        status: of HTTP, for a page of the hub.
    """

    module: str
    kind: str
    text: str
    status: int | None = None


def page() -> str:
    """Return exit statuses, kinds and reasons."""
    return "\n".join(
        [
            heading("Exit statuses", 2, "exit-statuses"),
            _exit_statuses(),
            heading("Kinds of errors", 2, "kinds-of-errors"),
            *map(_kind, kinds()),
            heading("Reasons", 2, "reasons"),
            "Why a kernel or a notebook server ended, or could not be started. Pages, "
            "`teamhub kernels list --json` and the kernel API have the word; a cell shows it as "
            "the error's name.\n",
            *map(_reason, Reason),
        ]
    )


def messages_page() -> str:
    """Return every message, by the part that says it."""
    by_part: dict[str, set[Message]] = defaultdict(set)
    for message in messages():
        by_part[_part_of(message.module)].add(message)
    parts = []
    for _, title in _PARTS:
        if title in by_part:
            parts += [heading(title, 2), _listed(by_part[title])]
    parts += [
        heading("Setting up with `./dev`", 2),
        "\n".join(f"- {plain(text)}" for text in sorted(dev_messages())) + "\n",
    ]
    return "\n".join(parts)


def kinds() -> Sequence[type[TeamhubError]]:
    """Return every class of errors that a user may meet, wherever it is defined."""
    for module in modules():
        importlib.import_module(module)
    found: dict[type[TeamhubError], None] = {}
    queue = [TeamhubError]
    while queue:
        kind = queue.pop(0)
        found[kind] = None
        queue += kind.__subclasses__()
    # Those in errors.py first; there may be more of one name only by accident.
    ours = [kind for kind in found if kind.__module__.startswith("teamhub.")]
    return sorted(ours, key=lambda kind: kind.__module__ != "teamhub.errors")


def modules() -> Sequence[str]:
    """Return the modules of the server that can be imported without running anything."""
    return [
        found.name
        for found in pkgutil.walk_packages(teamhub.__path__, "teamhub.")
        if not found.name.endswith("__main__")
        and not any(found.name.startswith(each) for each in _LEFT_OUT)
    ]


def messages() -> Sequence[Message]:
    """Return every message of an error that the code makes, as it stands there."""
    known = {kind.__name__ for kind in kinds()}
    found = []
    for module in modules():
        spec = importlib.util.find_spec(module)
        assert spec is not None
        assert spec.origin is not None
        tree = ast.parse(Path(spec.origin).read_text())
        found += [message for node in ast.walk(tree) for message in _said(node, module, known)]
    return found


def dev_messages() -> Sequence[str]:
    """Return what `./dev` says where it cannot go on."""
    script = (ROOT / "dev").read_text().replace("\\\n", " ")
    found = re.findall(r'\bfail ("(?:[^"\\]|\\.)*"(?:\s+"(?:[^"\\]|\\.)*")*)', script)
    return [
        re.sub(r"\$\{.*?\}|\$\w+|\$\(.*\)", "…", " ".join(re.findall(r'"((?:[^"\\]|\\.)*)"', said)))
        for said in found
    ]


def meaning(reason: Reason) -> str:
    """Return what a reason means: the sentence below it in the code."""
    tree = ast.parse(inspect.getsource(Reason))
    body = tree.body[0].body  # type: ignore[attr-defined]
    for line, after in itertools.pairwise(body):
        if isinstance(line, ast.Assign) and line.targets[0].id == reason.name:  # type: ignore[attr-defined]
            return str(ast.literal_eval(after.value))  # type: ignore[attr-defined]
    raise LookupError(f"{reason.name} says nothing of itself")


def _exit_statuses() -> str:
    by_status: dict[int, list[str]] = defaultdict(list)
    for kind in kinds():
        by_status[kind.exit_code].append(kind.__name__)
    rows = [("0", "It is done.")]
    for status, names in sorted(by_status.items()):
        what = ", ".join(f"[{name}](#error-{name.lower()})" for name in names)
        if status == 1:
            what = "Any other problem; and a fault of teamhub's, which is logged."
        if status == 2:
            what += "; and wrong usage of the command line."
        rows.append((str(status), what))
    rows.append((str(INTERRUPTED), "You ended it with Ctrl-C."))
    return table(("status", "what it means"), rows)


def _kind(kind: type[TeamhubError]) -> str:
    about = inspect.cleandoc(kind.__doc__ or "").partition("\n\n")[0]
    return "\n".join(
        [
            heading(code(kind.__name__), 3, f"error-{kind.__name__.lower()}"),
            plain(" ".join(about.split())) + "\n",
            facts(
                [
                    ("What to do", plain(kind.remedy)),
                    ("Exit status of a command", str(kind.exit_code)),
                ]
            ),
        ]
    )


def _reason(reason: Reason) -> str:
    return "\n".join(
        [
            heading(code(reason.value), 3, f"reason-{reason.value}"),
            plain(meaning(reason)) + "\n",
            facts(
                [
                    ("On the page of a notebook server", plain(_WORDS[reason])),
                    ("What to do", plain(reason.remedy.member)),
                    ("An administrator", plain(reason.remedy.administrator)),
                ]
            ),
        ]
    )


def _part_of(module: str) -> str:
    return next(title for prefix, title in _PARTS if module.startswith(prefix))


def _listed(found: set[Message]) -> str:
    lines: dict[str, None] = {}
    for one in sorted(found, key=lambda one: (one.text.lower(), one.kind)):
        of = f"[{one.kind}](#error-{one.kind.lower()})"
        if one.kind == USAGE:
            of = "wrong usage, [exit status](errors.md#exit-statuses) 2"
        if one.status is not None:
            of = f"{one.status} {HTTPStatus(one.status).phrase}"
        lines[f"- {plain(' '.join(one.text.split()))} ({of})"] = (
            None  # the same may be said in two places
        )
    return "\n".join(lines) + "\n"


def _said(node: ast.AST, module: str, known: set[str]) -> Iterator[Message]:
    """Yield what a call makes: `SomeError("…")`, or what a page of the hub says."""
    if not isinstance(node, ast.Call):
        return
    name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    name = node.func.id if isinstance(node.func, ast.Name) else name
    texts = [text for text in map(_text, node.args) if text is not None]
    status = next(
        (
            each.value
            for each in node.args
            if isinstance(each, ast.Constant) and isinstance(each.value, int)
        ),
        None,
    )
    if name in known:
        yield from (Message(module, name, text) for text in texts if " " in text.strip("… "))
    elif name == "ValueError" and module.startswith("teamhub.config"):
        yield from (Message(module, "ConfigError", text) for text in texts)
    elif name in _USAGE and module.startswith("teamhub.cli"):
        yield from (Message(module, USAGE, text) for text in texts)
    elif status is not None and 400 <= status < 600 and name in {"HTTPError", "__init__"}:
        yield from (Message(module, name, text, status) for text in texts if " " in text)


def _text(node: ast.expr) -> str | None:
    """Return the text that an expression makes, "…" for what is filled in."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) or "…" for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return (_text(node.left) or "…") + (_text(node.right) or "…")
    return None
