"""What the spawner tells a notebook server, read once from the environment and then forgotten.

Variables (the first three must be there)::

    HOME                       the member's home: the root of the file browser
    TEAMHUB_GATEWAY_URL        such as http://127.0.0.1:8123/services/gateway
    JUPYTERHUB_API_TOKEN       the server's own token, for the hub and for the gateway
    TEAMHUB_NOTEBOOK_HOST      the address to listen on; 127.0.0.1 if unset
    JUPYTERHUB_SERVICE_URL     its port is listened on; 0, none or unset: any free one
    JUPYTERHUB_SERVICE_PREFIX  the base URL; / if unset
    JUPYTERHUB_DEFAULT_URL     what opens first; /lab if unset
    TEAMHUB_ADDRESS_FILE       where the port is announced
    TEAMHUB_WAKE_SOCKET        the datagram socket that is told of the announcement
    TEAMHUB_WORKLOAD           <deployment>/<workload id>/<attempt>
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

SECRET_VARIABLES = frozenset(
    {
        "JUPYTERHUB_API_TOKEN",
        "JPY_API_TOKEN",
        "JUPYTER_GATEWAY_AUTH_TOKEN",
        "JUPYTER_GATEWAY_HTTP_USER",
        "JUPYTER_GATEWAY_HTTP_PWD",
    }
)


class SettingError(Exception):
    """A variable is missing or wrong; the message names it, its value and what was expected."""


class Secret(str):
    """A string that does not show itself in logs of configurations."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'(secret)'"


@dataclass(frozen=True)
class Settings:
    """What the environment said. `port` 0: any free one."""

    home: str
    gateway_url: str
    token: Secret
    host: str = "127.0.0.1"
    port: int = 0
    base_url: str = "/"
    default_url: str = "/lab"
    address_file: Path | None = None
    wake_socket: str | None = None
    workload_id: str = ""

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Settings:
        """Return the settings in an environment, which is not changed.

        Raises:
            SettingError: a variable is missing or is not what it should be.
        """
        address_file = environ.get("TEAMHUB_ADDRESS_FILE")
        return cls(
            home=_home(environ),
            gateway_url=_gateway_url(environ),
            token=Secret(_required(environ, "JUPYTERHUB_API_TOKEN", "the server's own token")),
            host=environ.get("TEAMHUB_NOTEBOOK_HOST") or "127.0.0.1",
            port=_port(environ),
            base_url=environ.get("JUPYTERHUB_SERVICE_PREFIX") or "/",
            default_url=environ.get("JUPYTERHUB_DEFAULT_URL") or "/lab",
            address_file=Path(address_file) if address_file else None,
            wake_socket=environ.get("TEAMHUB_WAKE_SOCKET") or None,
            workload_id=_workload_id(environ.get("TEAMHUB_WORKLOAD", "")),
        )


def forget(environ: MutableMapping[str, str]) -> None:
    """Remove from an environment what terminals have no business with: ours, and the tokens.

    What JupyterHub's own extension still reads while it runs stays.
    """
    for name in list(environ):
        if name.startswith("TEAMHUB_") or name in SECRET_VARIABLES:
            del environ[name]


def _required(environ: Mapping[str, str], name: str, what: str) -> str:
    value = environ.get(name)
    if not value:
        raise SettingError(f"{name} is not set: it must be {what}")
    return value


def _home(environ: Mapping[str, str]) -> str:
    home = _required(environ, "HOME", "the member's home directory")
    if not Path(home).is_absolute():
        raise SettingError(f"HOME must be an absolute path, is {home!r}")
    return home


def _gateway_url(environ: Mapping[str, str]) -> str:
    url = _required(environ, "TEAMHUB_GATEWAY_URL", "the URL of the kernel gateway")
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise SettingError(f"TEAMHUB_GATEWAY_URL must be an http or https URL, is {url!r}")
    return url.rstrip("/")


def _port(environ: Mapping[str, str]) -> int:
    url = environ.get("JUPYTERHUB_SERVICE_URL", "")
    try:
        return urlsplit(url).port or 0
    except ValueError as error:
        raise SettingError(f"JUPYTERHUB_SERVICE_URL has no usable port: {url!r}") from error


def _workload_id(workload: str) -> str:
    parts = workload.split("/")
    return parts[1] if len(parts) == 3 else ""
