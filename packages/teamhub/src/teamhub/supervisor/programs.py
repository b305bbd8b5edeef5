"""What a deployment runs: the proxy, the hub, and the gateway with the dispatcher."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path

from teamhub.config import Config
from teamhub.deployment import Deployment
from teamhub.errors import ConfigError, TeamhubError
from teamhub.supervisor.children import Program, inherited

PROXY = "proxy"
HUB = "hub"
GATEWAY = "gateway"


def programs(deployment: Deployment) -> tuple[Program, ...]:
    """Return the programs of a deployment, in the order in which they are started.

    Raises:
        ConfigError: the proxy's command is not to be found.
    """
    ports = deployment.ports()
    proxy = deployment.config.proxy
    shared = {
        **inherited(os.environ),
        "TEAMHUB_DATA_DIR": str(deployment.data_dir),
        "PYTHONUNBUFFERED": "1",
    }
    return (
        Program(
            PROXY,
            "the proxy",
            (
                *proxy_command(deployment.config),
                *("--ip", proxy.host),
                *("--port", str(proxy.port)),
                *("--api-ip", "127.0.0.1"),
                *("--api-port", str(ports.proxy_api)),
                *("--error-target", f"http://127.0.0.1:{ports.hub}/hub/error"),
            ),
            {**shared, "CONFIGPROXY_AUTH_TOKEN": deployment.secrets().proxy_token},
        ),
        Program(
            GATEWAY,
            "the gateway",
            (sys.executable, "-m", "teamhub.serve"),
            shared,
            keeps_to_its_log=True,
        ),
        Program(
            HUB,
            "the hub",
            (sys.executable, "-m", "jupyterhub", "--config", str(_hub_config())),
            shared,
            keeps_to_its_log=True,
        ),
    )


def proxy_command(config: Config) -> tuple[str, ...]:
    """Return the proxy's command with its program's whole path.

    Raises:
        ConfigError: it is not to be found.
    """
    command = config.proxy.command
    if not command:
        raise ConfigError(
            "proxy.command: a command is needed, is empty; "
            'leave it out for "configurable-http-proxy"'
        )
    path = shutil.which(command[0])
    if path is None:
        raise ConfigError(
            f"proxy.command: {command[0]!r} is not in PATH; install it with "
            "`npm install -g configurable-http-proxy`, or start with `./dev up`, which brings it"
        )
    return (str(Path(path).absolute()), *command[1:])


def _hub_config() -> Path:
    spec = importlib.util.find_spec("teamhub.hub")
    for folder in (spec.submodule_search_locations if spec else None) or ():
        path = Path(folder) / "jupyterhub_config.py"
        if path.exists():
            return path
    raise TeamhubError(
        "teamhub/hub/jupyterhub_config.py is missing from this installation; install teamhub again"
    )
