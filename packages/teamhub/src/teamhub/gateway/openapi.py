"""The OpenAPI description of all that the gateway answers, made from its routes.

A route is an `Operation`: its handler, and what is to be said of it. The application makes its
routes from the same list, so there is none without a description, and no description without one.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Literal

from aiohttp import web
from pydantic import TypeAdapter

import teamhub
from teamhub.gateway import schemas, wire
from teamhub.gateway.bodies import BODY_BYTES, Body

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

JSON = "application/json"

RESOURCE_TYPES = {
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".gif": "image/gif",
    ".jpg": "image/jpeg",
    ".js": "text/javascript",
    ".css": "text/css",
}
"""The content types of kernelspecs' files; the rest are application/octet-stream."""


class Files:
    """In `Operation.answers`: a file of a kernelspec."""


class Yaml:
    """In `Operation.answers`: an object as YAML."""


URL_CHARACTERS = 8 * 1024
HEADER_BYTES = 8 * 1024
"""Of one header. The proxy itself refuses 16 KiB of headers."""

_DESCRIPTION = f"""\
The Jupyter kernel API of a team server: every member sees their own kernels and sessions, and
nobody else's; what is another's is answered as if it were not there (404).

**Token.** All but the addresses without a lock need a personal token, made on the hub's page
*Token* or with `teamhub tokens create`: as a header `Authorization: token …` or
`Authorization: Bearer …`, or where a client can set no header as `?token=…`.

**Errors.** An answer of 400 or more is one line for a person, as a *Problem*, and nothing has
changed. An address that is not described here is a 404, a method that is not described is a 405
with the header `Allow`. `HEAD` is answered wherever `GET` is.

**Limits.** A body has at most {BODY_BYTES // 1024**2} MiB, and is read as JSON whatever its
content type says. An address has at most {URL_CHARACTERS} characters, a header {HEADER_BYTES}
bytes.

**Request id.** Every answer has a header `X-Request-Id` of the gateway's own making. An
administrator finds it in the log. What a client sends under that name is only logged beside it.
"""

_TAGS = {
    "kernels": "What runs code.",
    "sessions": "Which notebook uses which kernel.",
    "kernelspecs": "What can be started.",
    "server": "The gateway itself, and who is asking.",
}

_TEXT: Mapping[HTTPStatus, str] = {
    HTTPStatus.BAD_REQUEST: "What was sent cannot be understood.",
    HTTPStatus.FORBIDDEN: "There is no token, or it is not valid.",
    HTTPStatus.NOT_FOUND: "There is no such thing, or it is another's.",
    HTTPStatus.METHOD_NOT_ALLOWED: "The address does not take this method.",
    HTTPStatus.CONFLICT: "Understood, but not possible now: a limit is reached, or it is taken.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too large.",
    HTTPStatus.REQUEST_URI_TOO_LONG: "The address is too long.",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "A header is too long.",
    HTTPStatus.SERVICE_UNAVAILABLE: "The hub or the database is away for a moment; try again.",
}
_NAMES = {status: "".join(status.phrase.title().split()).replace("-", "") for status in _TEXT}
_ALWAYS = (HTTPStatus.REQUEST_URI_TOO_LONG, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

_PATH_PARAMETERS: Mapping[str, dict[str, Any]] = {
    "kernel_id": {"description": "A kernel's id.", "schema": {"type": "string"}},
    "session_id": {"description": "A session's id.", "schema": {"type": "string"}},
    "name": {"description": "A kernelspec's name.", "schema": {"type": "string"}},
    "file": {"description": "A file of the kernelspec's resources.", "schema": {"type": "string"}},
}
QUERY_SESSION = {
    "name": "session_id",
    "in": "query",
    "required": False,
    "description": (
        "The client's own name for this connection: who comes back with it gets what was missed."
    ),
    "schema": {"type": "string", "maxLength": wire.SESSION_CHARACTERS},
}

_SECURITY = {
    "header": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "`Authorization: token …`, as Jupyter clients say it.",
    },
    "bearer": {"type": "http", "scheme": "bearer"},
    "query": {
        "type": "apiKey",
        "in": "query",
        "name": "token",
        "description": "For clients that can set no header. It is not logged.",
    },
}


_REQUEST_ID = {
    "description": "The gateway's name for this request; an administrator finds it in the log.",
    "schema": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
}
_LOCATION = {"description": "Where to find it.", "schema": {"type": "string"}}
_ALLOW = {"description": "The methods that it takes.", "schema": {"type": "string"}}
_REQUEST_ID_HEADER = {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}}


@dataclass(frozen=True)
class Operation:
    """One method of one address.

    Args:
        method: such as GET, which answers HEAD, too.
        path: relative to the gateway's, with `{…}` for what varies.
        handler: its docstring is the description, its name the operation's id.
        tag: the chapter, one of _TAGS.
        answers: what comes back where all is well: the type of the JSON by status; None for an
            empty answer, Files for a file.
        fails: what else may come than what comes of a token and of a body.
        body: what the body may say.
        needs_token: whether a token is needed.
        query: parameters of the query.
        leads_to: operations that take the `id` of the answer, with their parameter's name.
        has_location: whether what was made is told in a header `Location`.
        name: the operation's id, where the handler's name is another's.
    """

    method: str
    path: str
    handler: Handler
    tag: str
    answers: Mapping[int, Any]
    fails: Sequence[HTTPStatus] = ()
    body: type[Body] | None = None
    needs_token: bool = True
    query: Sequence[Mapping[str, Any]] = ()
    leads_to: Mapping[str, str] = field(default_factory=dict)
    has_location: bool = False
    name: str = ""

    @property
    def id(self) -> str:
        """What clients made from the description call it."""
        return self.name or str(getattr(self.handler, "__name__", ""))

    def route(self, base: str) -> web.RouteDef:
        """Return the route that answers it, below a path."""
        return web.RouteDef(self.method, base + self.path, self.handler, {})


def describe(operations: Sequence[Operation], base: str) -> dict[str, Any]:
    """Return the description of operations, as JSON has it.

    Args:
        operations: all that is answered below `base`.
        base: the path of the gateway.
    """
    kinds = _Kinds(operations)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(
            operation, kinds
        )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "teamhub gateway",
            "version": teamhub.__version__,
            "description": _DESCRIPTION,
        },
        "servers": [{"url": base, "description": "This team server."}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": kinds.definitions,
            "responses": {_NAMES[status]: _problem(status) for status in _TEXT},
            "headers": {"RequestId": _REQUEST_ID},
            "securitySchemes": _SECURITY,
        },
    }


class _Kinds:
    """The schemas of all types that operations name."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        kinds: dict[str, tuple[str, Literal["validation", "serialization"], TypeAdapter[Any]]] = {
            "Problem": ("Problem", "serialization", TypeAdapter(schemas.Problem))
        }
        for operation in operations:
            if operation.body is not None:
                key = _key(operation.body)
                kinds[key] = (key, "validation", TypeAdapter(operation.body))
            for kind in operation.answers.values():
                if kind not in (None, Files, Yaml):
                    kinds[_key(kind)] = (_key(kind), "serialization", TypeAdapter(kind))
        found, rest = TypeAdapter.json_schemas(
            kinds.values(), ref_template="#/components/schemas/{model}"
        )
        self.definitions: dict[str, Any] = rest["$defs"]
        for schema in self.definitions.values():
            _without_titles(schema)
        self._of = {key: schema for (key, _), schema in found.items()}

    def of(self, kind: Any) -> Any:
        """Return the schema of a type, or of nothing."""
        return self._of[_key(kind)]


def _key(kind: Any) -> str:
    return getattr(kind, "__name__", "") if isinstance(kind, type) else str(kind)


def _without_titles(schema: dict[str, Any]) -> None:
    """A field's name is title enough: "Last Activity" says no more than `last_activity`."""
    for each in schema.get("properties", {}).values():
        each.pop("title", None)


def _described(operation: Operation, kinds: _Kinds) -> dict[str, Any]:
    summary, _, description = inspect.cleandoc(operation.handler.__doc__ or "").partition("\n\n")
    parameters = [
        {"name": name, "in": "path", "required": True, **_PATH_PARAMETERS[name]}
        for name in re.findall(r"{(\w+)}", operation.path)
    ]
    described: dict[str, Any] = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": " ".join(summary.split()),
        "parameters": [*parameters, *operation.query],
        "responses": _answers(operation, kinds),
        "security": [{name: []} for name in _SECURITY] if operation.needs_token else [],
    }
    if description:
        described["description"] = " ".join(description.split())
    if operation.body is not None:
        described["requestBody"] = {
            "required": operation.body.needed,
            "content": {JSON: {"schema": kinds.of(operation.body)}},
        }
    return described


def _answers(operation: Operation, kinds: _Kinds) -> dict[str, Any]:
    fails = {*operation.fails, *_ALWAYS}
    if operation.needs_token:
        fails |= {HTTPStatus.FORBIDDEN, HTTPStatus.SERVICE_UNAVAILABLE}
    if operation.body is not None:
        fails |= {HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE}
    answers = {str(int(s)): _answer(operation, s, kinds) for s in operation.answers}
    for status in sorted(fails - {HTTPStatus(s) for s in operation.answers}):
        answers[str(int(status))] = {"$ref": f"#/components/responses/{_NAMES[status]}"}
    return answers


def _answer(operation: Operation, status: int, kinds: _Kinds) -> dict[str, Any]:
    kind = operation.answers[status]
    phrase = HTTPStatus(status).phrase
    answer: dict[str, Any] = {"description": f"{phrase}.", "headers": dict(_REQUEST_ID_HEADER)}
    if kind is Files:
        types = (*RESOURCE_TYPES.values(), "application/octet-stream")
        answer["content"] = {name: {} for name in types}
    elif kind is Yaml:
        answer["content"] = {"application/yaml": {"schema": {"type": "object"}}}
    elif kind is not None:
        answer["content"] = {JSON: {"schema": kinds.of(kind)}}
    if operation.leads_to and status in (HTTPStatus.OK, HTTPStatus.CREATED):
        answer["links"] = {
            name: {"operationId": name, "parameters": {parameter: "$response.body#/id"}}
            for name, parameter in operation.leads_to.items()
        }
    if operation.has_location and status == HTTPStatus.CREATED:
        answer["headers"]["Location"] = _LOCATION
    return answer


def _problem(status: HTTPStatus) -> dict[str, Any]:
    headers: dict[str, Any] = dict(_REQUEST_ID_HEADER)
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = _ALLOW
    return {
        "description": _TEXT[status],
        "headers": headers,
        "content": {JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
