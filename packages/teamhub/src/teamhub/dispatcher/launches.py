"""What an engine is asked to start for a workload, from the server's records alone."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from teamhub_shim.protocol import SECRET_KEY_VARIABLE, SPEC_VARIABLE, Spec

from teamhub.config import Config
from teamhub.errors import EngineError
from teamhub.model import Environment, Kind, Launch, Size, Workload
from teamhub.reasons import Reason

SHIM_SECRET = "shim_secret_key"  # noqa: S105  the name under which a row keeps it

_SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
_PASSED_ON = ("LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")
_SAFE_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


class Launches:
    """Makes launches for one deployment.

    Args:
        config: its settings.
        deployment: its id.
        gateway_key: the gateway's public key, which every shim is told.
        first_uid: where every member runs under a uid of their own, the first of them; else None.
    """

    def __init__(
        self, config: Config, deployment: str, gateway_key: str, first_uid: int | None
    ) -> None:
        self._config = config
        self._deployment = deployment
        self._gateway_key = gateway_key
        self._first_uid = first_uid

    def size_of(self, workload: Workload) -> Size:
        """Return a workload's size. Raises EngineError where the settings lost it."""
        if workload.size is None:
            return Size("", "")
        try:
            return self._config.size(workload.size)
        except KeyError:
            raise EngineError(
                Reason.NO_SUCH_ENVIRONMENT, f"no size is called {workload.size!r} any more"
            ) from None

    def make(self, workload: Workload, account_number: int | None) -> Launch:
        """Return the launch of a placed workload; its home directory exists afterwards.

        Args:
            workload: with node and, for a kernel, its shim's secret key.
            account_number: the owner's, from which a uid is made.

        Raises:
            EngineError: the environment or size is not in the settings any more, the owner's
                name cannot be a directory's, or the owner needs a uid and has no account.
        """
        size = self.size_of(workload)
        uid = self._uid(workload.owner, account_number)
        home = self._home(workload.owner, uid)
        env = self._base_env(workload.owner, home)
        if workload.kind is Kind.KERNEL:
            environment = self._environment(workload)
            argv: tuple[str, ...] = (sys.executable, "-m", "teamhub_shim")
            env |= self._shim_env(workload, environment, home)
            working_dir = str(home)
        else:
            argv = tuple(workload.spec["argv"])
            env |= workload.spec["env"] | workload.secrets
            working_dir = workload.spec.get("working_dir") or str(home)
        return Launch(
            deployment=self._deployment,
            workload_id=workload.id,
            kind=workload.kind,
            attempt=workload.attempt,
            owner=workload.owner,
            argv=argv,
            env=env,
            working_dir=working_dir,
            node=workload.node or "",
            cpus=size.cpus,
            memory_bytes=size.memory_bytes,
            uid=uid,
            gid=uid,
        )

    def _uid(self, owner: str, account_number: int | None) -> int | None:
        if self._first_uid is None:
            return None
        if account_number is None:
            # The hub may know users whom nobody gave an account. Ours would be root's uid.
            raise EngineError(
                Reason.ENGINE,
                f"{owner} has no account, and so no uid to run as; "
                f"`teamhub users add {owner}` gives both",
            )
        return self._first_uid + account_number

    def _environment(self, workload: Workload) -> Environment:
        try:
            return self._config.environment(workload.environment or "")
        except KeyError:
            raise EngineError(
                Reason.NO_SUCH_ENVIRONMENT,
                f"no environment is called {workload.environment!r} any more",
            ) from None

    def _shim_env(
        self, workload: Workload, environment: Environment, home: Path
    ) -> Mapping[str, str]:
        interpreter_dir = str(Path(environment.argv[0]).parent)
        path = _SYSTEM_PATH if interpreter_dir == "." else f"{interpreter_dir}:{_SYSTEM_PATH}"
        own = workload.spec.get("env", {})
        spec = Spec(
            kernel_id=workload.id,
            argv=environment.argv,
            gateway_key=self._gateway_key,
            env={"PATH": path, **own, **environment.env},
            working_dir=workload.spec.get("working_dir") or str(home),
            resource_dir=environment.resource_dir or "",
            interrupt_mode=environment.interrupt_mode,
            start_timeout_seconds=self._config.kernels.start_timeout_seconds,
            # The shim needs time of its own to say goodbye before the engine kills it.
            stop_timeout_seconds=self._config.dispatcher.stop_timeout_seconds * 0.4,
        )
        return {
            SPEC_VARIABLE: spec.to_json(),
            SECRET_KEY_VARIABLE: workload.secrets.get(SHIM_SECRET, ""),
        }

    def _base_env(self, owner: str, home: Path) -> dict[str, str]:
        """Nothing of this process's environment but what describes the machine."""
        env = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        return {
            "LANG": "C.UTF-8",
            **env,
            "PATH": f"{Path(sys.executable).parent}:{_SYSTEM_PATH}",
            "HOME": str(home),
            "USER": owner,
            "LOGNAME": owner,
            "SHELL": "/bin/bash" if Path("/bin/bash").exists() else "/bin/sh",
        }

    def _home(self, owner: str, uid: int | None) -> Path:
        if not _SAFE_NAME.fullmatch(owner):
            raise EngineError(Reason.ENGINE, f"{owner!r} cannot be the name of a home directory")
        home = self._config.home_of(owner)
        try:
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
            if uid is not None and home.stat().st_uid != uid:
                os.chown(home, uid, uid)
        except OSError as error:
            raise EngineError(
                Reason.ENGINE, f"the home directory {home} cannot be made: {error.strerror}"
            ) from None
        return home
