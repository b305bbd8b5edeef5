"""What the gateway answers, as types: the code is checked against them, and so are its answers.

The OpenAPI description is made from them. The names of fields are Jupyter Server's.
"""

from __future__ import annotations

from typing import (
    Annotated,
    Any,
    NotRequired,  # before Python 3.12 pydantic takes no other
)

from pydantic import Field
from typing_extensions import TypedDict

Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
ExecutionState = Annotated[
    str,
    Field(
        description="What the kernel does.",
        json_schema_extra={
            "enum": ["starting", "idle", "busy", "restarting", "autorestarting", "dead"]
        },
    ),
]


class Problem(TypedDict):
    """Why something was not done. Nothing has changed then."""

    message: Annotated[str, Field(description="One line for a person: what, where, what to do.")]
    reason: Annotated[str, Field(description="The status in words.")]
    code: Annotated[int, Field(description="The status.")]
    request_id: Annotated[
        str,
        Field(
            description="Hand it to an administrator, who finds it in the log.",
            json_schema_extra={"pattern": "^[0-9a-f]{16}$"},
        ),
    ]


class Kernel(TypedDict):
    """A kernel of yours."""

    id: str
    name: Annotated[str, Field(description="Its kernelspec's name.")]
    last_activity: Moment
    execution_state: ExecutionState
    connections: Annotated[int, Field(description="How many websockets are open to it.")]
    status: NotRequired[
        Annotated[str, Field(description="How far its start, or its end, has come, unless it runs")]
    ]
    detail: NotRequired[Annotated[str, Field(description="What that waits for, or why it failed.")]]
    reason: NotRequired[Annotated[str | None, Field(description="Why it ended, in one word.")]]


class Notebook(TypedDict):
    """Where older clients look for path and name."""

    path: str
    name: str


class Session(TypedDict):
    """A notebook, or something like it, and the kernel that it uses."""

    id: str
    path: str
    name: str
    type: str
    kernel: Kernel
    notebook: NotRequired[Notebook]


class Spec(TypedDict):
    """What Jupyter knows of a kernelspec."""

    argv: list[str]
    env: dict[str, str]
    display_name: Annotated[str, Field(description="What a launcher shows.")]
    language: str
    interrupt_mode: str
    metadata: dict[str, Any]


class Kernelspec(TypedDict):
    """Something that can be started: an environment in a size."""

    name: str
    spec: Spec
    resources: Annotated[dict[str, str], Field(description="The addresses of its logos.")]


class Kernelspecs(TypedDict):
    """All that can be started."""

    default: Annotated[str, Field(description="What is started where no name is said.")]
    kernelspecs: dict[str, Kernelspec]


class Version(TypedDict):
    """The server's version."""

    version: str


class Identity(TypedDict):
    """Whose token it is."""

    username: str
    name: str
    display_name: str
    initials: str


class Me(TypedDict):
    """Who is asking."""

    identity: Identity
    permissions: dict[str, Any]


class Summary(TypedDict):
    """All of your kernels in numbers."""

    connections: int
    kernels: int
    last_activity: Moment
    started: Moment


class Folder(TypedDict):
    """A folder without files: those are the notebook server's."""

    name: str
    path: str
    type: str
    format: str
    mimetype: str | None
    size: int | None
    writable: bool
    hash: str | None
    hash_algorithm: str | None
    created: Moment
    last_modified: Moment
    content: list[Any]


class Health(TypedDict):
    """The process answers."""

    ok: bool


class Readiness(TypedDict):
    """Whether kernels can be started and used now."""

    ready: bool
    checks: Annotated[
        dict[str, bool], Field(description="Each thing that is needed, and whether it is there.")
    ]
