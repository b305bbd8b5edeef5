"""The engines that the contract is run over."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from engine_rigs import FakeRig, ProcessRig, Rig
from teamhub.engines.base import Engine

PYTHON = str(Path(sys.executable).resolve())


@pytest.fixture(params=["fake", "process"])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    if request.param == "fake":
        yield FakeRig()
        return
    made = ProcessRig(tmp_path, PYTHON)
    yield made
    made.kill_everything()


@pytest.fixture
def process_rig(tmp_path: Path) -> Iterator[ProcessRig]:
    made = ProcessRig(tmp_path, PYTHON)
    yield made
    made.kill_everything()


@pytest.fixture
async def engine(rig: Rig) -> AsyncIterator[Engine]:
    made = rig.engine()
    await made.open()
    yield made
    await made.close()


@pytest.fixture
async def process_engine(process_rig: ProcessRig) -> AsyncIterator[Engine]:
    made = process_rig.engine()
    await made.open()
    yield made
    await made.close()
