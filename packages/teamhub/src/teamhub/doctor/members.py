"""What members get: a border between them, notebook servers, environments that work."""

from __future__ import annotations

import importlib.util
import os
import shutil

from teamhub.doctor.check import Check, Finding, Patient, ok, problem, warning
from teamhub.doctor.machine import output_of
from teamhub.engines import border

_IMPORT_SECONDS = 60.0


async def _border(patient: Patient) -> Finding:
    assert patient.config is not None
    first_uid, why = border.first_uid(patient.config)
    if first_uid is None and patient.config.engine.name == "process":
        remedy = "start teamhub as root with engine.process.uid_per_member"
        if os.geteuid() == 0:
            remedy = "let other users pass there (chmod o+x), or install teamhub in another place"
        return warning(
            f"{why}: all members' kernels run as one user of this machine, and can read and end "
            "each other's work",
            f"for more than a trial: {remedy}",
        )
    return ok(why)


async def _environments(patient: Patient) -> Finding:
    config = patient.config
    assert config is not None
    told = []
    for name, settings in config.environments.items():
        argv = config.environment(name).argv
        program = shutil.which(argv[0]) if argv else None
        if program is None:
            return problem(
                f"environments.{name}: there is no program {argv[0] if argv else ''!r}",
                "correct its prefix or argv, then `teamhub config apply`",
            )
        if settings.argv is not None or settings.language != "python":
            told.append(name)
            continue
        code, said = await output_of(
            program, "-c", "import ipykernel as i; print(i.__version__)", seconds=_IMPORT_SECONDS
        )
        if code != 0:
            last = said.splitlines()[-1][:150] if said else "it does not end"
            return problem(
                f"environments.{name}: {program} cannot import ipykernel: {last}",
                f"{program} -m pip install ipykernel",
            )
        told.append(f"{name} (ipykernel {said.splitlines()[-1]})")
    return ok(", ".join(told))


async def _notebook(patient: Patient) -> Finding:
    assert patient.config is not None
    argv = patient.config.servers.argv
    if argv is not None:
        if not argv or shutil.which(argv[0]) is None:
            return problem(f"servers.argv: there is no program {argv[:1]}", "correct that setting")
        return ok(f"{argv[0]}")
    missing = [
        name
        for name in ("teamhub_notebook", "jupyterlab")
        if importlib.util.find_spec(name) is None
    ]
    if missing:
        return problem(
            f"{' and '.join(missing)} is not installed: no notebook server starts",
            "install teamhub-notebook beside teamhub",
        )
    return ok("teamhub-notebook and JupyterLab are installed")


CHECKS = (
    Check("members' border", _border),
    Check("environments", _environments),
    Check("notebook server", _notebook),
)
