"""The shim: keeps one kernel for as long as that can be done, and says why it ended."""

from __future__ import annotations

import json
import os
import secrets
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import zmq

from teamhub_shim.activity import Activity
from teamhub_shim.announce import Announcement
from teamhub_shim.directory import RuntimeDirectory
from teamhub_shim.inbox import Inbox
from teamhub_shim.journal import Journal
from teamhub_shim.kernel import NOT_FOUND_EXIT_CODE, CommandError, Kernel
from teamhub_shim.life import Life, Wish
from teamhub_shim.links import Answer, Links
from teamhub_shim.loop import Loop, Timer
from teamhub_shim.memory import OutOfMemoryKills
from teamhub_shim.output import Tail, log, log_about
from teamhub_shim.protocol import Exit, Spec, State
from teamhub_shim.wire import Author

MAXIMUM_CRASHES = 5
"""How many times in a row a kernel that dies by itself is started anew."""
STABLE_SECONDS = 10
"""A kernel that has lived for this long starts a new row."""
STATE_DELAY_SECONDS = 0.02
"""Changes between busy and idle within this time are told as one."""
REFRESH_SECONDS = 10
"""How often a last activity that has moved is told without a change of state."""
FAREWELL_SECONDS = 2
"""How long a slow link may take for the rest when the shim ends."""

_IO_THREADS = 2
_ASKED_BY_CLIENT = "a client asked for the kernel's shutdown"


@dataclass(frozen=True)
class Surroundings:
    """What a shim is given beside its Spec; the variables in protocol.py name them."""

    secret_key: bytes
    address_file: str | None = None
    wake_socket: str | None = None
    runtime_dir: str | None = None


class ShimError(Exception):
    """The shim cannot do its work at all; the message is one line for a person."""


class Shim:
    """One kernel and its gateways. Make one in a process of its own, `run` and `close` it.

    Raises:
        ShimError: a key, the address to listen on or the private directory is no good.
    """

    def __init__(self, spec: Spec, surroundings: Surroundings) -> None:
        self._spec = spec
        log_about(kernel_id=spec.kernel_id)
        self._loop = Loop()
        self._author = Author()
        self._key = secrets.token_hex(32).encode()
        self._tail = Tail()
        self._journal = Journal(spec.journal_bytes)
        self._inbox = Inbox(self._deliver)
        self._kills = OutOfMemoryKills()
        self._activity = Activity()
        self._announcement = Announcement(
            spec.kernel_id, surroundings.address_file, surroundings.wake_socket
        )
        self._life: Life | None = None
        self._lives = 0
        self._crashes = 0
        self._deaths = 0
        self._last_exit = ""
        self._last_exit_at: float | None = None
        self._stop_detail = ""
        self._restart_answers: list[Answer] = []
        self._exit: Exit | None = None
        self._execution_state = "starting"
        self._kernel_info: dict[str, Any] | None = None
        self._last_activity = self._told_activity = time.time()
        self._state_timer: Timer | None = None

        self._watch_signals()  # before anybody is told of us, and so may end us
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(_IO_THREADS)
        try:
            self._directory = RuntimeDirectory(surroundings.runtime_dir, spec.kernel_id)
        except OSError as error:
            raise ShimError(f"no private directory for the kernel's sockets: {error}") from None
        try:
            self._links = Links(
                self._context,
                self._loop,
                gateway_key=spec.gateway_key.encode(),
                secret_key=surroundings.secret_key,
                journal=self._journal,
                calls=self,
                state=lambda: self._state().to_json(),
                kernel_id=spec.kernel_id,
            )
            self._port = self._links.bind(spec.host, spec.port)
        except (ValueError, zmq.ZMQError) as error:
            raise self._hopeless(f"cannot listen on {spec.host}:{spec.port}: {error}") from None
        try:
            self._announcement.say(self._port, ready=False)
        except OSError as error:
            raise self._hopeless(f"cannot write the address file: {error}") from None

    def _hopeless(self, problem: str) -> ShimError:
        self._context.destroy(linger=0)
        self._directory.remove()
        return ShimError(problem)

    def run(self) -> Exit:
        """Keep the kernel until it has ended for good, and say why it did."""
        self._loop.later(REFRESH_SECONDS, self._refresh)
        self._start()
        while self._exit is None:
            self._loop.turn()
        deadline = time.monotonic() + FAREWELL_SECONDS
        while self._links.lagging and time.monotonic() < deadline:
            self._loop.turn()
        return self._exit

    def close(self) -> None:
        """Let go and leave no files. What is on its way to gateways gets a moment to arrive."""
        self._links.close()
        self._context.term()
        self._announcement.withdraw()
        self._directory.remove()
        self._announcement.wake()

    # What gateways ask (links.Calls).

    def send(self, channel: str, msg_id: bytes, parts: Sequence[bytes]) -> None:
        """Take a message for the kernel; what was sent before is not sent again."""
        self._last_activity = time.time()
        if _restart_asked(parts) is False and (self._life is None or not self._life.is_ready):
            self.stop(_ASKED_BY_CLIENT)
            return
        self._inbox.accept(channel, msg_id, parts)

    def sync(self, answer: Answer) -> None:
        """Answer once all that came before is in the kernel's sockets."""
        self._inbox.after(lambda: answer({}))

    def interrupt(self, answer: Answer) -> None:
        """Interrupt the kernel, if it is ready."""
        if self._life is not None:
            self._life.interrupt(self._spec.interrupt_mode)
        answer({})

    def restart(self, answer: Answer) -> None:
        """Put a new kernel process in place; one that is on its way already will do."""
        if self._life is None or self._life.wish is Wish.STOP:
            answer("the kernel is being stopped")
            return
        self._restart_answers.append(answer)
        if self._life.is_ready:
            self._end(Wish.RESTART)

    # The kernel's lives.

    def stop(self, detail: str) -> None:
        """End the kernel, and then the shim. A second call does nothing."""
        if self._life is None or self._life.wish is Wish.STOP:
            return
        log(f"ending the kernel: {detail}")
        self._stop_detail = detail
        self._end(Wish.STOP)

    def _start(self) -> None:
        self._life = None
        self._activity = Activity()
        self._kills.look()
        try:
            kernel = Kernel(
                self._context,
                self._spec,
                directory=self._directory,
                attempt=self._lives,
                key=self._key,
                tail=self._tail,
                identity=self._author.mark,
            )
        except CommandError as error:
            if error.not_found:
                self._give_up("command-not-found", str(error), NOT_FOUND_EXIT_CODE)
            else:
                self._give_up("exited-at-start", str(error), None)
            return
        except OSError as error:
            self._give_up("exited-at-start", f"the kernel cannot be started: {error}", None)
            return
        self._lives += 1
        log(f"the kernel's process {kernel.pid} has started")
        self._life = Life(
            self._loop,
            kernel,
            self._author,
            start_timeout_seconds=self._spec.start_timeout_seconds,
            stop_timeout_seconds=self._spec.stop_timeout_seconds,
            listener=self,
        )
        self._change(self._execution_state)  # there is a new process id to tell

    def _end(self, wish: Wish, ask: bool = True) -> None:
        if self._life is None:
            return
        self._inbox.close()
        if wish is Wish.RESTART:
            self._change("restarting")
        if ask and self._activity.execution_state == "busy":
            # A kernel in the middle of a cell would come to the request only afterwards.
            self._life.interrupt(self._spec.interrupt_mode)
        self._life.end(wish, ask)

    def ready(self) -> None:
        """The kernel answers: let through what waits (life.Listener)."""
        if self._life is None:
            return
        if self._kernel_info is None:
            self._announce_ready()
        log(f"the kernel answers, process {self._life.pid}")
        self._kernel_info = self._life.kernel_info
        self._change(self._activity.execution_state)
        for answer in self._take_restart_answers():
            answer({"pid": self._life.pid})
        self._inbox.open()

    def _announce_ready(self) -> None:
        try:
            self._announcement.say(self._port, ready=True)
        except OSError as error:
            log(f"cannot say that the kernel is ready: {error}", "error")

    def ended(self) -> None:
        """The kernel has ended: say so, or start the next one (life.Listener)."""
        life = self._life
        if life is None:
            return
        self._inbox.close()
        if life.wish is Wish.STOP:
            self._give_up("asked", self._stop_detail, life.exit_code)
        elif life.wish is Wish.TIMEOUT:
            seconds = self._spec.start_timeout_seconds
            detail = f"the kernel did not answer within {seconds:g} s"
            self._give_up("start-timeout", detail, life.exit_code)
        elif life.wish is Wish.RESTART:
            self._crashes = 0
            self._start()
        else:
            self._died(life)

    def _died(self, life: Life) -> None:
        """A kernel has ended by itself: start another, unless that is hopeless."""
        reason, words = self._explain(life.exit_code)
        if not life.answered:
            words += " before it answered"
        if self._kernel_info is None:
            reason = reason if reason == "out-of-memory" else "exited-at-start"
            self._give_up(reason, words, life.exit_code)
            return
        for answer in self._take_restart_answers():
            answer(words)
        self._crashes = 1 if life.ready_seconds >= STABLE_SECONDS else self._crashes + 1
        if self._crashes > MAXIMUM_CRASHES:
            words += f", for the {self._crashes}th time in a row"
            self._give_up(reason, words, life.exit_code)
            return
        text = f"{words}; a new one is started ({self._crashes} of {MAXIMUM_CRASHES})"
        log(text, "warning")
        self._deaths += 1
        self._last_exit, self._last_exit_at = words.removeprefix("the kernel "), time.time()
        self._change("autorestarting")
        self._publish_status("restarting")
        self._start()

    def _explain(self, exit_code: int) -> tuple[str, str]:
        if exit_code >= 0:
            return "exited", f"the kernel exited with code {exit_code}"
        if exit_code == -signal.SIGKILL and self._kills.happened():
            return "out-of-memory", "the kernel was killed because memory ran out"
        try:
            name = signal.Signals(-exit_code).name
        except ValueError:
            name = f"signal {-exit_code}"
        return "killed", f"the kernel was killed by {name}"

    def _give_up(self, reason: str, detail: str, exit_code: int | None) -> None:
        self._life = None
        for answer in self._take_restart_answers():
            answer(detail)
        self._publish_status("dead")
        self._change("dead")
        self._exit = Exit(reason, detail, exit_code, self._tail.text())

    def _take_restart_answers(self) -> list[Answer]:
        answers, self._restart_answers = self._restart_answers, []
        return answers

    # Messages.

    def received(self, channel: str, parts: list[bytes]) -> None:
        """The kernel has sent something for clients (life.Listener)."""
        self._last_activity = time.time()
        self._journal.append((channel.encode(), *parts))
        self._links.publish()
        if channel != "iopub" or not self._activity.note(parts):
            return
        if self._life is not None and self._life.is_ready:
            self._change(self._activity.execution_state)

    def _deliver(self, channel: str, parts: Sequence[bytes]) -> None:
        if self._life is None:
            return
        self._life.send(channel, parts)
        restart = _restart_asked(parts)
        if restart is not None:
            # The client's own request is on its way: only the deadlines are ours.
            self._stop_detail = _ASKED_BY_CLIENT
            self._end(Wish.RESTART if restart else Wish.STOP, ask=False)

    def _publish_status(self, execution_state: str) -> None:
        """Tell clients on iopub what the kernel cannot tell any more."""
        content = {"execution_state": execution_state}
        self._journal.append((b"iopub", *self._author.write("status", content)))
        self._links.publish()

    # State.

    def _change(self, execution_state: str) -> None:
        """Note a state and tell the gateways: at once, unless it only goes to and fro."""
        before, self._execution_state = self._execution_state, execution_state
        if {before, execution_state} <= {"busy", "idle"}:
            if before != execution_state and self._state_timer is None:
                self._state_timer = self._loop.later(STATE_DELAY_SECONDS, self._tell)
            return
        self._tell()

    def _tell(self) -> None:
        if self._state_timer is not None:
            self._state_timer.cancel()
            self._state_timer = None
        self._told_activity = self._last_activity
        self._links.publish_state()

    def _state(self) -> State:
        return State(
            execution_state=self._execution_state,
            last_activity=self._last_activity,
            pid=self._life.pid if self._life is not None else None,
            restarts=max(0, self._lives - 1),
            kernel_info=self._kernel_info,
            deaths=self._deaths,
            last_exit=self._last_exit,
            last_exit_at=self._last_exit_at,
        )

    def _refresh(self) -> None:
        self._kills.look()
        if self._last_activity != self._told_activity:
            self._tell()
        self._loop.later(REFRESH_SECONDS, self._refresh)

    # Signals.

    def _watch_signals(self) -> None:
        """Let signals arrive on the loop, as bytes in a pipe."""
        read_end, write_end = os.pipe()
        os.set_blocking(read_end, False)
        os.set_blocking(write_end, False)
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            # Handlers that do nothing, not SIG_IGN, which the kernel would inherit.
            signal.signal(number, lambda *_: None)

        def read() -> None:
            try:
                numbers = os.read(read_end, 4096)
            except BlockingIOError:
                return
            if signal.SIGTERM in numbers:
                self.stop("the shim was asked to end")
            if self._life is not None:
                self._life.check()
            _reap_orphans(self._life.pid if self._life is not None else None)

        self._loop.add(read_end, read)


def _restart_asked(parts: Sequence[bytes]) -> bool | None:
    """Return what a shutdown_request asks for; None for all other messages."""
    if b"shutdown_request" not in parts[0]:
        return None
    try:
        if json.loads(parts[0])["msg_type"] != "shutdown_request":
            return None
        return bool(json.loads(parts[3]).get("restart", False))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _reap_orphans(kernel_pid: int | None) -> None:
    """Reap what was given to us because we are the first process of a container."""
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is None or ended.si_pid == kernel_pid:
            return
        os.waitpid(ended.si_pid, os.WNOHANG)
