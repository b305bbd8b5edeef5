"""What a request may say in its body: read, and checked by the schema that describes it."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, ClassVar, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from teamhub.errors import TeamhubError

BODY_BYTES = 2 * 1024**2
NAME_CHARACTERS = 255
PATH_CHARACTERS = 4096
TYPE_CHARACTERS = 32
ENV_NAME = r"^[A-Za-z_][A-Za-z0-9_]{0,127}$"

_SHOWN_CHARACTERS = 64
_NO_NUL = r"^[^\x00]*$"


class BadRequestError(TeamhubError):
    """What the client sent cannot be understood; the message says what was expected."""

    remedy = (
        "Compare what is sent with the reference of the kernel API, which the gateway serves as "
        "`/services/gateway/api/spec.json`, too."
    )


class TooLargeError(TeamhubError):
    """The body is larger than what is taken."""

    remedy = "Send less: data belongs in files or in the kernel's websocket, not in a request."


Text = Annotated[str, StringConstraints(pattern=_NO_NUL)]
Name = Annotated[str, StringConstraints(pattern=_NO_NUL, max_length=NAME_CHARACTERS)]
Path = Annotated[str, StringConstraints(pattern=_NO_NUL, max_length=PATH_CHARACTERS)]
Type = Annotated[str, StringConstraints(pattern=_NO_NUL, max_length=TYPE_CHARACTERS)]
Variables = Annotated[
    dict[Annotated[str, StringConstraints(pattern=ENV_NAME)], Text],
    Field(json_schema_extra={"additionalProperties": False}),
]


class Body(BaseModel):
    """An object of which the fields below are looked at; null and empty text are nothing said."""

    model_config = ConfigDict(strict=True, extra="ignore")

    needed: ClassVar[bool] = False
    """Whether an empty body is not enough."""


class KernelWanted(Body):
    """A kernel to start. Owner, command, size and home are the server's to say, not the client's:
    what else is said is not looked at."""

    name: Name | None = Field(
        default=None, description="The kernelspec's name; the default one where it is left out."
    )
    path: Path | None = Field(
        default=None,
        description="The directory to start in, relative to your home, and always within it.",
    )
    env: Variables | None = Field(
        default=None,
        description=(
            "Variables for the kernel's environment. The server's own (TEAMHUB_…, JUPYTERHUB_…, "
            "KERNEL_…, LD_…) are left out. All together are limited by the setting "
            "kernels.environment_bytes."
        ),
    )


class KernelOfSession(Body):
    """Which kernel a session uses: an existing one by its id, or a new one of a kernelspec."""

    id: Name | None = Field(default=None, description="The id of one of your kernels.")
    name: Name | None = Field(default=None, description="The name of a kernelspec.")


class NotebookOfSession(Body):
    """Where older clients say the path."""

    path: Path | None = Field(default=None, description="The notebook's path.")


class SessionChange(Body):
    """What shall be different in a session; what is left out stays."""

    path: Path | None = Field(
        default=None, description="The notebook's path, relative to your home."
    )
    name: Path | None = Field(default=None, description="A name to show.")
    type: Type | None = Field(default=None, description="A word such as notebook or console.")
    kernel: KernelOfSession | None = Field(
        default=None,
        description="Another kernel; the one before is stopped where nobody else uses it.",
    )
    notebook: NotebookOfSession | None = Field(
        default=None, description="Where older clients say the path; `path` comes first."
    )

    @property
    def where(self) -> str | None:
        """The path, wherever it was said."""
        return self.path or (self.notebook.path if self.notebook else None) or None


def _needs_a_path(schema: dict[str, Any]) -> None:
    path = {"required": ["path"], "properties": {"path": {"type": "string", "minLength": 1}}}
    notebook = {"type": "object", **path}
    schema["anyOf"] = [path, {"required": ["notebook"], "properties": {"notebook": notebook}}]


class SessionWanted(SessionChange):
    """A notebook and the kernel that it shall use. A path is needed."""

    model_config = ConfigDict(json_schema_extra=_needs_a_path)

    needed = True

    kernel: KernelOfSession | None = Field(
        default=None, description="The default kernelspec is started where nothing is said."
    )


AnyBody = TypeVar("AnyBody", bound=Body)


async def read(request: web.Request, kind: type[AnyBody]) -> AnyBody:
    """Return a request's body; an empty one says nothing.

    Whatever its content type is: clients of Jupyter often send none.

    Raises:
        BadRequestError: it is not JSON, or not what the schema says.
        TooLargeError: it is larger than BODY_BYTES.
    """
    try:
        data = await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise TooLargeError(
            f"the body should have at most {BODY_BYTES // 1024**2} MiB ({BODY_BYTES} bytes)"
        ) from None
    try:
        value = json.loads(data) if data.strip() else {}
    except (ValueError, RecursionError) as error:
        raise BadRequestError(f"the body should be JSON: {_shown(error)}") from None
    if not isinstance(value, dict):
        raise BadRequestError("the body should be a JSON object")
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise BadRequestError(_line(error)) from None


def _line(error: ValidationError) -> str:
    """One line about the first thing that is wrong: where, and what was expected."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = [str(part) for part in first["loc"] if part != "[key]"]
    context = first.get("ctx", {})
    if where[0] == "env" and len(where) > 1:
        return f"env: {where[1][:_SHOWN_CHARACTERS]!r} should be a variable's name, and text"
    match first["type"]:
        case "string_too_long":
            expected = f"should have at most {context['max_length']} characters"
        case "string_type" | "string_unicode" | "string_pattern_mismatch":
            expected = "should be text, without NUL or half a character"
        case "dict_type" | "model_type":
            expected = "should be an object"
        case _:
            expected = first["msg"]
    return f"{'.'.join(where)}: {expected}"


def _shown(error: Exception) -> str:
    return re.sub(r"\s+", " ", str(error))[:200]
