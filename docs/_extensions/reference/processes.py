"""What each process may touch, as far as code says it: roles, files, programs, imports."""

from __future__ import annotations

import inspect
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import teamhub.deployment
from teamhub.deployment import Deployment, Secrets
from teamhub.hub.assemble import assemble
from teamhub.operator import TOKEN_SCOPES
from teamhub.supervisor.programs import programs

from reference import scratch
from reference.markdown import block, code, plain, table

ROOT = Path(__file__).parents[3]


def hub_page() -> str:
    """Return who may do what in the hub: JupyterHub's roles as we set them."""
    with scratch.deployment() as deployment:
        hub = assemble(deployment)["JupyterHub"]
    rows = [_role(role) for role in hub["load_roles"]]
    rows.append(("a personal token", "What `teamhub tokens create` makes", _scopes(TOKEN_SCOPES)))
    return table(("role", "whose it is", "scopes"), rows)


def files_page() -> str:
    """Return the files of a deployment, and the secrets among them."""
    text = inspect.cleandoc(teamhub.deployment.__doc__ or "").partition("::\n\n")[2]
    names = ", ".join(code(field.name) for field in fields(Secrets))
    return f"{block(inspect.cleandoc(text))}\nThe secrets: {names}.\n"


def programs_page() -> str:
    """Return the programs that `teamhub up` runs, with where they listen."""
    # Any program that is there will do for the proxy: only its options are shown.
    with scratch.deployment(proxy={"command": ["sh"]}) as deployment:
        rows = [
            (code(one.name), plain(one.title), code(" ".join(_argv(one.argv, deployment))))
            for one in programs(deployment)
        ]
    return table(("process", "what", "command"), rows)


def imports_page() -> str:
    """Return which part of the code may import which, as `./dev lint` checks it."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        contracts = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    layers = next(each for each in contracts if each["type"] == "layers")["layers"]
    others = [each["name"] for each in contracts if each["type"] != "layers"]
    return "\n".join(
        [
            "Each may import those below it, and none above:\n",
            block("\n".join(layers)),
            "And:\n",
            *[f"- {plain(name)}." for name in others],
            "",
        ]
    )


def _role(role: dict[str, Any]) -> tuple[str, str, str]:
    return code(role["name"]), plain(role["description"]), _scopes(role["scopes"])


def _scopes(scopes: Any) -> str:
    return ", ".join(map(code, scopes))


def _argv(argv: tuple[str, ...], deployment: Deployment) -> list[str]:
    """A program and its arguments, without what is of this machine."""
    ports = {str(port): name for name, port in vars(deployment.ports()).items()}
    shown = []
    for position, part in enumerate(argv):
        for port, name in ports.items():
            part = part.replace(port, f"<{name}>")  # noqa: PLW2901
        if position == 0:
            part = "python" if "python" in Path(part).name else "configurable-http-proxy"  # noqa: PLW2901
        shown.append(Path(part).name if part.startswith("/") else part)
    return shown
