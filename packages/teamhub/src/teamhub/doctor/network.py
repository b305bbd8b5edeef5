"""What lies beyond this machine; only looked at when asked."""

from __future__ import annotations

import os
import sys

import aiohttp

from teamhub.config.shown import masked
from teamhub.doctor.check import Check, Finding, Patient, ok, skipped, warning
from teamhub.doctor.machine import output_of

_ANSWER_SECONDS = 15
_PUBLIC = "https://pypi.org/simple"
_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")


async def _index(patient: Patient) -> Finding:
    if not patient.network:
        return skipped("the package index is only asked with --network")
    url = await _index_url()
    shown = masked(url)
    remedy = "members cannot install packages; see pip's index-url and this machine's web proxy"
    timeout = aiohttp.ClientTimeout(total=_ANSWER_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=True) as session,
            session.get(f"{url.rstrip('/')}/ipykernel/") as response,
        ):
            if response.status != 200:
                return warning(f"{shown} answers {response.status}", remedy)
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        return warning(f"{shown} cannot be reached ({type(error).__name__})", remedy)
    return ok(f"{shown} answers")


async def _index_url() -> str:
    for name in _VARIABLES:
        if value := os.environ.get(name):
            return value
    code, said = await output_of(sys.executable, "-m", "pip", "config", "get", "global.index-url")
    last = said.splitlines()[-1] if said else ""
    return last if code == 0 and last.startswith("http") else _PUBLIC


CHECKS = (Check("package index", _index, settings=False),)
