"""What a gateway and a shim say to each other: the one place that knows the frames.

A *link* is a ZeroMQ DEALER (gateway) connected to the shim's ROUTER, encrypted with CurveZMQ;
the shim accepts the gateway's public key alone. A message is a list of frames; the first names
its kind. A Jupyter message travels as its five parts (header, parent header, metadata, content,
buffers) without signature: the signature is between shim and kernel.

gateway to shim::

    hello  JSON {}                                   answered with `state`
           opens the link, with nothing attached;
           until it has come, a `ping` is not answered and a `call` is answered with an error: so
           a gateway whose socket reconnected by itself notices that its sessions are not attached
    send   channel, msg_id, header, parent, metadata, content, *buffers
           for the kernel; a msg_id that was sent before is not sent again
    call   call_id, method, JSON arguments           answered with `return`
    ack    number (8 bytes), session                 no answer
           everything up to this number has arrived (an empty session: at every session of this
           link); a later `attach` goes on there. Without any `ack` it goes on after the last
           message handed to the link, and what was in flight when a link broke is lost
    ping   payload                                   answered with `pong`

shim to gateway::

    message  number (8 bytes, big endian), session, channel, header, parent, metadata, content,
             *buffers
             number: the position in the journal, from 1, never reused while the shim lives.
             session: empty for what happens now, to all attached sessions of this link; else
             a replay for that session alone
             Whose reply it is, the parent header says: the shim sends all to every link. The
             numbers follow each other; a hole is what a slow link made the journal forget
    state    JSON State
    detached session                                 another link attached that session
    return   call_id, JSON {"result": …} or {"error": "one line"}
    pong     payload

Methods of `call` (arguments; result):

`sync` ({}; {})
    Answered when everything sent before on this link has been handed to the kernel's sockets.
`attach` ({"session": str}; {"resumed": bool, "replayed": int, "missed": int})
    Messages for this session go to this link from now on. A session that the shim has seen
    before first gets, as replays, what came after the last message sent to it (or acknowledged
    by it), and then the answer; `missed` counts those that no longer fit the journal. A session
    never seen starts with what comes next.
`detach` ({"session": str}; {})
    The session's place is kept, so that a later `attach` goes on there.
`interrupt` ({}; {})
    By signal or by `interrupt_request`, as the kernelspec says. Busy or not, it is an answer.
`restart` ({}; {"pid": int})
    A new kernel process in place: same shim, same port, same session places, fresh namespace.
    Answered when the new one is ready; an error says why not.

Every call may carry `request_id`, for which request of a client it is made. `attach`, `interrupt`
and `restart` are told in the shim's log, with the kernel's id and that; nothing else is done with
it, and a shim that does not know it looks past it.

Kernel states, as Jupyter names them: `starting`, `idle`, `busy`, `restarting`,
`autorestarting`, `dead`. When a kernel has died by itself, the shim also puts a status message
`restarting` on iopub (the word by which Jupyter's clients learn that they must forget what they
asked), and `dead` when there will be no other. A restart that was asked for is told by `state`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

HELLO = b"hello"
SEND = b"send"
CALL = b"call"
ACK = b"ack"
PING = b"ping"
MESSAGE = b"message"
STATE = b"state"
DETACHED = b"detached"
RETURN = b"return"
PONG = b"pong"

CHANNELS = ("shell", "control", "stdin", "iopub")

SPEC_VARIABLE = "TEAMHUB_SHIM_SPEC"
SECRET_KEY_VARIABLE = "TEAMHUB_SHIM_SECRET_KEY"  # noqa: S105  the name of a variable
ADDRESS_FILE_VARIABLE = "TEAMHUB_ADDRESS_FILE"
WAKE_SOCKET_VARIABLE = "TEAMHUB_WAKE_SOCKET"
RUNTIME_DIR_VARIABLE = "TEAMHUB_RUNTIME_DIR"
MARKER_VARIABLE = "TEAMHUB_WORKLOAD"

EXIT_MARKER = "teamhub-shim-exit: "
DETAIL_CHARACTERS = 4096
LOG_TAIL_CHARACTERS = 64 * 1024
REQUEST_ID_CHARACTERS = 64


@dataclass(frozen=True)
class Spec:
    """What a shim is told at its start, as JSON in the variable `TEAMHUB_SHIM_SPEC`.

    Attributes:
        kernel_id: for log lines and the kernel's own environment.
        argv: the kernelspec's command; `{connection_file}` and `{resource_dir}` are filled in.
        env: added to the kernel's environment (never to the shim's).
        working_dir: where the kernel starts; the home directory where that does not exist.
        interrupt_mode: "signal" or "message".
        gateway_key: the Z85 public key of the gateway, the only one accepted.
        host: the address to listen on.
        port: the port to listen on; 0: any free one, announced in the address file.
        start_timeout_seconds: how long a kernel may take to answer for the first time.
        stop_timeout_seconds: how long it may take to end when asked to.
        journal_bytes: how much of what the kernel has sent is kept.
    """

    kernel_id: str
    argv: Sequence[str]
    gateway_key: str
    env: dict[str, str] = field(default_factory=dict)
    working_dir: str = ""
    resource_dir: str = ""
    interrupt_mode: str = "signal"
    host: str = "127.0.0.1"
    port: int = 0
    start_timeout_seconds: float = 60
    stop_timeout_seconds: float = 5
    journal_bytes: int = 64 * 1024**2

    def to_json(self) -> str:
        """Return the JSON text from which `from_json` makes an equal spec."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Spec:
        """Return the spec in a JSON text. Raises ValueError or TypeError on anything else."""
        value = json.loads(text)
        return cls(**{**value, "argv": tuple(value["argv"])})


@dataclass(frozen=True)
class State:
    """What a shim reports of its kernel.

    Attributes:
        execution_state: a kernel state as Jupyter names it.
        last_activity: seconds since the epoch, of the last message from or to the kernel.
        pid: the kernel's process id where the shim runs.
        restarts: how many kernel processes came before this one.
        kernel_info: the content of the kernel's own `kernel_info_reply`, once it has sent one.
        deaths: how many of those before it ended by themselves, and were replaced in place.
        last_exit: how the last of these ended, in words; empty where there was none.
        last_exit_at: seconds since the epoch; when that was.
    """

    execution_state: str
    last_activity: float
    pid: int | None = None
    restarts: int = 0
    kernel_info: dict[str, Any] | None = None
    deaths: int = 0
    last_exit: str = ""
    last_exit_at: float | None = None

    def to_json(self) -> bytes:
        """Return JSON from which `from_json` makes an equal state."""
        # Not asdict(): it would copy all of kernel_info, several times a second.
        return json.dumps(vars(self)).encode()

    @classmethod
    def from_json(cls, data: bytes) -> State:
        """Return the state in a JSON text. Raises ValueError or TypeError on anything else.

        What a later shim says beyond it is looked past.
        """
        value = json.loads(data)
        if not isinstance(value, dict):
            raise TypeError("a state should be a JSON object")
        return cls(**{name: value[name] for name in value.keys() & _STATE_FIELDS})


_STATE_FIELDS = frozenset(each.name for each in fields(State))


@dataclass(frozen=True)
class Exit:
    """Why a shim ended, printed as its last line: `EXIT_MARKER` and this as JSON.

    So every engine that can show a log can say why, and nothing need be fetched from a file.

    Attributes:
        reason: "asked", "command-not-found", "exited-at-start", "start-timeout", "exited",
            "killed" or "out-of-memory".
        detail: one line for a person, such as "the kernel exited with code 3 before it answered".
        exit_code: the kernel's; negative for a signal; None where it never ran.
        log_tail: the last lines that the kernel wrote to stdout and stderr.
    """

    reason: str
    detail: str
    exit_code: int | None = None
    log_tail: str = ""

    def to_line(self) -> str:
        """Return the line to print, without its end."""
        return EXIT_MARKER + json.dumps(asdict(self))

    def _cleaned(self) -> Exit | None:
        """This, fit for a database and a terminal; None where its values are not even of the
        right types. A kernel can write such a line as well as a shim.
        """
        texts = (self.reason, self.detail, self.log_tail)
        is_number = self.exit_code is None or type(self.exit_code) is int
        if not is_number or not all(isinstance(text, str) for text in texts):
            return None
        detail = "".join(c if c.isprintable() else "?" for c in self.detail[:DETAIL_CHARACTERS])
        tail = self.log_tail[-LOG_TAIL_CHARACTERS:].replace("\0", "?")
        tail = tail.encode("utf-8", "replace").decode()
        return replace(self, detail=detail, log_tail=tail)

    @classmethod
    def find(cls, log: str) -> Exit | None:
        """Return what the last marked line of a log says, None where no line is marked.

        Whoever wrote it: `detail` is one printable line, and neither text is very long.
        """
        for line in reversed(log.splitlines()):
            if line.startswith(EXIT_MARKER):
                try:
                    found = cls(**json.loads(line.removeprefix(EXIT_MARKER)))
                except (ValueError, TypeError, RecursionError):
                    return None
                return found._cleaned()
        return None
