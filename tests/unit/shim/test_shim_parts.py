"""The shim's smaller parts, each alone."""

from __future__ import annotations

import json
import os
import socket
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jupyter_client.session import Session
from teamhub_shim.activity import Activity
from teamhub_shim.announce import Announcement
from teamhub_shim.directory import RuntimeDirectory
from teamhub_shim.inbox import Inbox
from teamhub_shim.loop import Loop
from teamhub_shim.memory import OutOfMemoryKills
from teamhub_shim.output import Output, Tail
from teamhub_shim.protocol import Exit, Spec, State
from teamhub_shim.wire import DELIMITER, Author, Signer

parts_strategy = st.lists(st.binary(max_size=50), min_size=4, max_size=7)


class TestWire:
    @given(parts_strategy, st.lists(st.binary(max_size=5), max_size=2))
    def test_what_is_sealed_can_be_opened(self, parts, routing):
        signer = Signer(b"key")
        frames = [frame for frame in routing if frame != DELIMITER] + signer.seal(parts)
        assert signer.open(frames) == parts

    @given(parts_strategy, st.integers(0, 3), st.binary(min_size=1, max_size=5))
    def test_what_was_changed_is_refused(self, parts, index, addition):
        frames = Signer(b"key").seal(parts)
        frames[2 + index] += addition
        assert Signer(b"key").open(frames) is None
        assert Signer(b"other").open(Signer(b"key").seal(parts)) is None

    @given(st.lists(st.sampled_from([b"", DELIMITER, b"x"]), max_size=5))
    def test_what_is_no_message_is_refused(self, frames):
        assert Signer(b"key").open(frames) is None

    @pytest.mark.parametrize("size", [1, 100_000])
    def test_it_is_jupyters_own_format(self, size):
        session = Session(key=b"key")
        frames = session.serialize(session.msg("stream", {"text": "x" * size}))
        parts = Signer(b"key").open(frames)
        assert parts is not None
        assert Signer(b"key").seal(parts) == frames
        author = Author()
        _, feed = session.feed_identities(Signer(b"key").seal(author.write("status", {"a": 1})))
        message = session.deserialize(feed)
        assert (message["msg_type"], message["content"]) == ("status", {"a": 1})
        assert author.asked([b"{}", json.dumps(message["header"], default=str).encode()])


class TestInbox:
    def test_it_holds_and_then_delivers_in_order(self):
        done: list[object] = []
        inbox = Inbox(lambda channel, parts: done.append((channel, *parts)))
        assert inbox.accept("shell", b"1", [b"a"])
        inbox.after(lambda: done.append("sync"))
        assert inbox.accept("control", b"2", [b"b"])
        assert done == []
        inbox.open()
        assert inbox.accept("shell", b"3", [b"c"])
        assert done == [("shell", b"a"), "sync", ("control", b"b"), ("shell", b"c")]

    def test_a_delivery_that_closes_it_keeps_the_rest_waiting(self):
        done: list[bytes] = []

        def deliver(_, parts):
            done.append(parts[0])
            if parts[0] == b"restart":
                inbox.close()

        inbox = Inbox(deliver)
        for payload in (b"restart", b"after"):
            inbox.accept("shell", b"", [payload])
        inbox.open()
        assert done == [b"restart"]
        inbox.open()
        assert done == [b"restart", b"after"]

    def test_an_id_is_taken_once_and_forgotten_after_many_others(self):
        inbox = Inbox(lambda *_: None, remembered=3)
        assert [inbox.accept("shell", i, []) for i in (b"1", b"1", b"2", b"3", b"2", b"4")] == [
            True,
            False,
            True,
            True,
            False,
            True,
        ]
        assert inbox.accept("shell", b"1", [])
        assert inbox.accept("shell", b"", [])
        assert inbox.accept("shell", b"", [])


class TestActivity:
    @staticmethod
    def status(state, parent):
        header = json.dumps({"msg_type": "status"}).encode()
        content = json.dumps({"execution_state": state}).encode()
        return [header, json.dumps(parent).encode(), b"{}", content]

    def test_it_is_busy_while_any_request_is(self):
        activity = Activity()
        cell, control = {"msg_id": "cell"}, {"msg_id": "control"}
        for state, parent, expected in (
            ("busy", cell, "busy"),
            ("busy", control, "busy"),
            ("idle", control, "busy"),
            ("idle", {"msg_id": "unknown"}, "busy"),
            ("idle", cell, "idle"),
            ("busy", cell, "busy"),
            ("idle", {}, "idle"),
        ):
            assert activity.note(self.status(state, parent))
            assert activity.execution_state == expected

    def test_other_messages_say_nothing(self):
        activity = Activity()
        assert not activity.note(self.status("starting", {}))
        assert not activity.note([b'{"msg_type": "stream"}', b"{}", b"{}", b"{}"])
        assert not activity.note([b'{"msg_type": "status"}', b"", b"{}", b"[]"])
        assert not activity.note([b'{"msg_type": "status"}', b"[]", b"{}", b"{"])


class TestRuntimeDirectory:
    def test_a_new_one_is_private_and_leaves_nothing(self):
        directory = RuntimeDirectory(None, "id/../with slashes")
        assert stat.S_IMODE(directory.path.stat().st_mode) == 0o700
        directory.write_connection_file(0, b"key")
        assert directory.connection_file.parent == directory.path
        found = json.loads(directory.connection_file.read_text())
        assert f"{found['ip']}-{found['iopub_port']}" == str(directory.socket(0, "iopub"))
        directory.socket(0, "iopub").touch()
        directory.forget(0)
        directory.remove()
        assert not directory.path.exists()

    def test_one_that_was_there_is_made_private_and_kept(self, tmp_path):
        tmp_path.chmod(0o755)
        directory = RuntimeDirectory(str(tmp_path), "id")
        assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700
        directory.remove()
        assert tmp_path.exists()

    def test_a_path_that_is_too_long_is_refused_with_what_to_do(self, tmp_path):
        long = tmp_path / ("x" * 100)
        with pytest.raises(OSError, match=r"at most 107; set TEAMHUB_RUNTIME_DIR") as caught:
            RuntimeDirectory(str(long), "id")
        assert str(long) in str(caught.value)
        assert not long.exists()

    def test_a_file_in_its_place_is_refused(self, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(OSError, match="file"):
            RuntimeDirectory(str(tmp_path / "file"), "id")


class TestAnnouncement:
    def test_it_writes_and_wakes(self, tmp_path):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as wake:
            wake.bind(str(tmp_path / "wake"))
            file = tmp_path / "address"
            announcement = Announcement("id", str(file), str(tmp_path / "wake"))
            announcement.say(4242, ready=False)
            assert json.loads(file.read_text()) == {"port": 4242, "ready": False}
            announcement.say(4242, ready=True)
            assert json.loads(file.read_text()) == {"port": 4242, "ready": True}
            assert [wake.recv(10), wake.recv(10)] == [b"id", b"id"]
        announcement.wake()  # nobody is there: no matter
        announcement.withdraw()
        announcement.withdraw()
        assert [path.name for path in tmp_path.iterdir()] == ["wake"]

    def test_without_anybody_to_tell(self):
        Announcement("id", None, None).say(1, ready=True)


class TestOutput:
    def test_lines_are_passed_on_and_the_tail_is_kept(self, capfd):
        read_end, write_end = os.pipe()
        tail = Tail(lines=2)
        output = Output(read_end, tail)
        os.write(write_end, b"one\ntwo\nthr")
        assert output.read()
        os.write(write_end, b"ee\n\xff\nhalf")
        assert output.read()
        assert output.read()  # nothing there, and not the end
        os.close(write_end)
        assert not output.read()
        output.close()
        output.close()
        assert tail.text() == "\ufffd\nhalf"
        assert capfd.readouterr().err.splitlines()[:3] == ["one", "two", "three"]

    @given(st.lists(st.binary(max_size=40), max_size=20))
    def test_the_tail_is_bounded(self, lines):
        tail = Tail(lines=5, maximum_bytes=60)
        for line in lines:
            tail.add(line.replace(b"\n", b"") or b"x")
        text = tail.text()
        assert len(text.encode("utf-8", "replace")) <= 60 * 3
        assert len(text.split("\n")) <= 5


class TestLoop:
    def test_timers_fire_in_order_unless_cancelled(self):
        loop, fired = Loop(), []
        loop.later(0.002, lambda: fired.append("second"))
        loop.later(0.001, lambda: fired.append("first"))
        loop.later(0.001, lambda: fired.append("never")).cancel()
        while len(fired) < 2:
            loop.turn()
        assert fired == ["first", "second"]

    def test_a_handler_may_drop_what_is_ready_too(self):
        loop, called = Loop(), []
        pipes = [os.pipe(), os.pipe()]

        def handler(own, other):
            called.append(own)
            loop.drop(own)
            loop.drop(other)
            loop.drop(other)

        (a, _), (b, _) = pipes
        for own, other in ((a, b), (b, a)):
            loop.add(own, lambda own=own, other=other: handler(own, other))
        for _, write_end in pipes:
            os.write(write_end, b"x")
        loop.turn()
        assert len(called) == 1
        for pair in pipes:
            for descriptor in pair:
                os.close(descriptor)


def test_out_of_memory_kills_are_those_since_the_last_look(tmp_path, monkeypatch):
    events = tmp_path / "memory.events"
    events.write_text("low 0\noom 1\noom_kill 3\noom_group_kill 0\n")
    monkeypatch.setattr("teamhub_shim.memory._find_source", lambda: events)
    kills = OutOfMemoryKills()
    assert not kills.happened()
    events.write_text("low 0\noom 1\noom_kill 4\noom_group_kill 0\n")
    assert kills.happened()
    kills.look()
    assert not kills.happened()
    events.unlink()
    assert not kills.happened()


def test_protocol_values_survive_json():
    spec = Spec("id", ("a", "b"), "key", env={"X": "1"})
    assert Spec.from_json(spec.to_json()) == spec
    state = State("idle", 1.5, 7, 1, {"a": [1]}, 1, "killed by SIGKILL", 2.5)
    assert State.from_json(state.to_json()) == state
    # What an earlier shim says, and a later one.
    assert State.from_json(b'{"execution_state": "idle", "last_activity": 1.5}').deaths == 0
    assert State.from_json(state.to_json()[:-1] + b', "new": 1}') == state
    for text in ("", "{}", "[]", "1"):
        with pytest.raises((ValueError, TypeError, KeyError)):
            Spec.from_json(text)
    assert Exit.find("nothing") is None
    assert Exit.find("teamhub-shim-exit: {") is None


def test_what_a_kernel_forges_of_its_end_is_one_short_printable_line():
    line = Exit("exited", "a\nforged log line \x1b[2J\ud800" + "x" * 10_000, 1, "\0\ud800" * 10**5)
    found = Exit.find(line.to_line())
    assert found is not None
    assert found.detail.startswith("a?forged log line ?[2J?x")
    assert len(found.detail) == 4096
    assert found.log_tail.encode() == b"?" * 2**16
    for wrong in ({"detail": 1}, {"reason": []}, {"log_tail": None}, {"exit_code": "1"}):
        text = json.dumps({"reason": "exited", "detail": "", **wrong})
        assert Exit.find(f"teamhub-shim-exit: {text}") is None
    assert Exit.find("teamhub-shim-exit: " + "[" * 100_000) is None
