"""One life of the kernel: from the start of a process to its end."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, Protocol

import zmq

from teamhub_shim.kernel import Kernel
from teamhub_shim.loop import Loop, Timer
from teamhub_shim.output import log
from teamhub_shim.wire import Author

KILL_SECONDS = 1
"""Between SIGTERM and SIGKILL."""

_CHANNELS = ("iopub", "shell", "control", "stdin")
"""In the order in which they are read: outputs before the reply that ends them."""
_BATCH_MESSAGES = 200
_LOOK_SECONDS = 0.005
_LOOK_SLOWLY_SECONDS = 0.02
_YOUNG_SECONDS = 1
_NUDGE_SECONDS = 0.02
_NUDGE_SLOWEST_SECONDS = 2
_PATIENCE_SECONDS = 3
"""How long an unanswered question is not repeated: the kernel has it, and is busy starting."""


class Wish(Enum):
    """What is wanted of a life that shall end."""

    NONE = "none"
    RESTART = "restart"
    STOP = "stop"
    TIMEOUT = "timeout"


class Listener(Protocol):
    """Who is told of what happens in a life."""

    def ready(self) -> None:
        """The kernel answers, and what it publishes arrives."""

    def ended(self) -> None:
        """The process has ended and everything that it sent has been handed over."""

    def received(self, channel: str, parts: list[bytes]) -> None:
        """The kernel has sent a message that is for clients."""


class Life:
    """A kernel process on the loop: waits until it answers, reads from it, ends it.

    Args:
        loop: calls us.
        kernel: just started.
        author: writes our own questions.
        start_timeout_seconds: after this the kernel is killed with the wish TIMEOUT.
        stop_timeout_seconds: how long it may take to end when asked to.
        listener: told of everything.
    """

    def __init__(
        self,
        loop: Loop,
        kernel: Kernel,
        author: Author,
        *,
        start_timeout_seconds: float,
        stop_timeout_seconds: float,
        listener: Listener,
    ) -> None:
        self._loop = loop
        self._kernel = kernel
        self._author = author
        self._stop_timeout_seconds = stop_timeout_seconds
        self._listener = listener
        self.pid = kernel.pid
        self.wish = Wish.NONE
        self.is_ready = False
        self.kernel_info: dict[str, Any] | None = None
        self._began = time.monotonic()
        self._ready_at: float | None = None
        self._heard = False
        self._question_at: float | None = None
        self._questions = 0
        self._complained = False
        self._over = False
        self._probe: Timer | None = None
        self._deadlines = [loop.later(start_timeout_seconds, self._took_too_long)]
        loop.add(kernel.output.descriptor, self._read_output)
        for channel in _CHANNELS:
            loop.add(kernel.sockets[channel], self._reader(channel))
        self._look_for_sockets()

    @property
    def exit_code(self) -> int:
        """The kernel's exit code once it has ended; negative for a signal."""
        return self._kernel.exit_code or 0

    @property
    def answered(self) -> bool:
        """True if the kernel was ready at any time."""
        return self._ready_at is not None

    @property
    def ready_seconds(self) -> float:
        """How long ago the kernel became ready; 0 where it never did."""
        return 0 if self._ready_at is None else time.monotonic() - self._ready_at

    def send(self, channel: str, parts: Sequence[bytes]) -> None:
        """Hand a message to the kernel."""
        self._kernel.send(channel, parts)

    def interrupt(self, mode: str) -> None:
        """Interrupt what the kernel is doing. A kernel that is not ready does nothing yet."""
        if not self.is_ready:
            return
        if mode == "message":
            self._kernel.send("control", self._author.write("interrupt_request", {}))
        else:
            self._kernel.signal(signal.SIGINT)

    def end(self, wish: Wish, ask: bool = True) -> None:
        """Let the kernel end: by a request, then by SIGTERM, then by SIGKILL.

        A kernel that never answered is not asked. A second call only changes the wish.

        Args:
            wish: what shall come then.
            ask: False where a client's own request is already on its way to the kernel.
        """
        again = self.wish in {Wish.RESTART, Wish.STOP}
        self.wish = wish
        if again:
            return
        was_ready, self.is_ready = self.is_ready, False
        self._cancel()
        if was_ready and ask:
            content = {"restart": wish is Wish.RESTART}
            self._kernel.send("control", self._author.write("shutdown_request", content))
        patience = self._stop_timeout_seconds if was_ready else 0
        for seconds, number in (
            (patience, signal.SIGTERM),
            (patience + KILL_SECONDS, signal.SIGKILL),
        ):
            self._deadlines.append(self._loop.later(seconds, self._signaller(number)))

    def check(self) -> None:
        """Look whether the process has ended, after a SIGCHLD."""
        if self._over or not self._kernel.reap():
            return
        self._over = True
        self.is_ready = False
        self._cancel()
        self._loop.drop(self._kernel.output.descriptor)
        for socket in self._kernel.sockets.values():
            self._loop.drop(socket)
        self._kernel.drain(self._take)
        self._kernel.close()
        self._listener.ended()

    def _cancel(self) -> None:
        for timer in (*self._deadlines, self._probe):
            if timer is not None:
                timer.cancel()
        self._deadlines.clear()

    def _signaller(self, number: signal.Signals) -> Callable[[], None]:
        return lambda: self._kernel.signal(number)

    def _took_too_long(self) -> None:
        self.wish = Wish.TIMEOUT
        self._kernel.signal(signal.SIGKILL)

    # Until it is ready.

    def _look_for_sockets(self) -> None:
        """Connect as soon as the kernel listens, and then ask whether it is there."""
        if self._kernel.connect():
            self._nudge(_NUDGE_SECONDS)
            return
        young = time.monotonic() - self._began < _YOUNG_SECONDS
        pause = _LOOK_SECONDS if young else _LOOK_SLOWLY_SECONDS
        self._probe = self._loop.later(pause, self._look_for_sockets)

    def _nudge(self, pause: float) -> None:
        """Ask for kernel_info until there is an answer and something on iopub, too.

        A kernel that sends no `iopub_welcome` publishes its status for each question: that it
        arrives here proves that the subscription holds.
        """
        now = time.monotonic()
        if self._question_at is None or now - self._question_at > _PATIENCE_SECONDS:
            self._question_at = now
            channel = "control" if self._questions % 2 else "shell"
            self._questions += 1
            self._kernel.send(channel, self._author.write("kernel_info_request", {}))
        slower = min(pause * 2, _NUDGE_SLOWEST_SECONDS)
        self._probe = self._loop.later(pause, lambda: self._nudge(slower))

    def _check_ready(self) -> None:
        if self.is_ready or self.kernel_info is None or not self._heard:
            return
        if self.wish is Wish.NONE and not self._over:
            self._cancel()
            self.is_ready = True
            self._ready_at = time.monotonic()
            self._listener.ready()

    def _note_kernel_info(self, content: bytes) -> None:
        try:
            found = json.loads(content)
        except ValueError:
            found = None
        self.kernel_info = found if isinstance(found, dict) else {}
        self._question_at = None  # a next question may be asked, if iopub is still silent
        self._check_ready()

    # What it sends.

    def _read_output(self) -> None:
        if not self._kernel.output.read():
            self._loop.drop(self._kernel.output.descriptor)

    def _reader(self, channel: str) -> Callable[[], None]:
        receive = self._kernel.sockets[channel].recv_multipart

        def read() -> None:
            # A bound, so that a flood on iopub does not keep an interrupt waiting.
            for _ in range(_BATCH_MESSAGES):
                try:
                    frames = receive(zmq.NOBLOCK)
                except zmq.Again:
                    return
                self._take(channel, frames)

        return read

    def _take(self, channel: str, frames: list[bytes]) -> None:
        parts = self._kernel.open(frames)
        if parts is None:
            if not self._complained:
                self._complained = True
                text = f"a message on {channel} has a wrong signature; such are dropped"
                log(text, "warning")
            return
        # What answers our own questions, and the welcome, is not for any client.
        ours = self._author.asked(parts)
        if ours and channel != "iopub" and b'"kernel_info_reply"' in parts[0]:
            self._note_kernel_info(parts[3])
        if channel == "iopub" and not self._heard:
            self._heard = True
            self._check_ready()
        if not ours and not (channel == "iopub" and b'"iopub_welcome"' in parts[0]):
            self._listener.received(channel, parts)
