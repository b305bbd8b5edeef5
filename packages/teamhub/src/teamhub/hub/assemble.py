"""Our settings as JupyterHub's: from a deployment to traitlets by class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from teamhub.deployment import Deployment
from teamhub.hub import origin
from teamhub.hub.logs import RequestIds, log_request
from teamhub.hub.pages import assets
from teamhub.hub.pages.addresses import TEMPLATES, template_variables
from teamhub.hub.roles import GATEWAY, GATEWAY_SCOPE, administrator_role
from teamhub.hub.spawner import STOP_MARGIN_SECONDS

OPERATOR = "operator"

TOKEN_DAYS = 365
"""The longest life of a token that somebody makes."""

HTTP_TIMEOUT_SECONDS = 30
POLL_SECONDS = 10
SQLITE_BUSY_TIMEOUT_SECONDS = 15

AUTH_REFRESH_SECONDS = 60
"""After how long at most a page knows that an account has changed: its role, a reset password."""

# The hub's settings in which `[hub.extra]` adds to ours: without ours nothing works.
_ADDED_TO = {
    ("JupyterHub", "services"),
    ("JupyterHub", "load_roles"),
    ("JupyterHub", "template_paths"),
    ("JupyterHub", "template_vars"),
}

Traitlets = dict[str, dict[str, Any]]


def assemble(deployment: Deployment) -> Traitlets:
    """Return JupyterHub's settings: class names to traitlets.

    `[hub.extra]` has the last word, but for services, roles and templates, where it adds to ours.
    Reads the deployment's ports and secrets; changes nothing else than making those that are
    missing.
    """
    config = deployment.config
    settings: Traitlets = {
        "JupyterHub": {
            **_addresses(deployment),
            **_database(config.hub_database_url()),
            **_conduct(),
            "allow_named_servers": config.servers.named_per_member > 0,
            "named_server_limit_per_user": config.servers.named_per_member,
            **_logs(deployment),
            "services": _services(deployment),
            "load_roles": _roles(deployment),
            "authenticator_class": "teamhub.hub.accounts.AccountAuthenticator",
            "spawner_class": "teamhub.hub.spawner.WorkloadSpawner",
            "cookie_secret": bytes.fromhex(deployment.secrets().cookie),
            "template_paths": [str(TEMPLATES)],
            "template_vars": template_variables(),
            "logo_file": str(assets.LOGO),
        },
        "Authenticator": {"auth_refresh_age": AUTH_REFRESH_SECONDS},
        "ConfigurableHTTPProxy": {
            # The proxy is a process of its own, so that it outlives the hub.
            "should_start": False,
            "api_url": f"http://127.0.0.1:{deployment.ports().proxy_api}",
            "auth_token": deployment.secrets().proxy_token,
        },
        "Spawner": {
            "ip": "127.0.0.1",
            "port": 0,
            "default_url": "/lab",
            "env_keep": [],
            # The spawner's own deadlines come first: they know why.
            "start_timeout": int(
                config.servers.start_timeout_seconds
                + config.dispatcher.stop_timeout_seconds
                + 2 * STOP_MARGIN_SECONDS
            ),
            "http_timeout": HTTP_TIMEOUT_SECONDS,
            "poll_interval": POLL_SECONDS,
            # Failing servers are no reason to end the hub.
            "consecutive_failure_limit": 0,
        },
    }
    return with_extra(settings, config.hub.extra)


def with_extra(settings: Traitlets, extra: Mapping[str, Mapping[str, Any]]) -> Traitlets:
    """Return settings in which the extra ones win; a few lists and tables are joined.

    Templates of a team come before ours, so that one of the same name takes its place.
    """
    joined = {name: dict(traits) for name, traits in settings.items()}
    for name, traits in extra.items():
        ours = joined.setdefault(name, {})
        for trait, value in traits.items():
            if (name, trait) not in _ADDED_TO:
                ours[trait] = value
            elif isinstance(value, Mapping):
                ours[trait] = {**ours[trait], **value}
            elif trait == "template_paths":
                ours[trait] = [*value, *ours[trait]]
            else:
                ours[trait] = [*ours[trait], *value]
    return joined


def _addresses(deployment: Deployment) -> dict[str, Any]:
    proxy, ports = deployment.config.proxy, deployment.ports()
    host = f"[{proxy.host}]" if ":" in proxy.host else proxy.host
    hub = f"http://127.0.0.1:{ports.hub}"
    return {
        "bind_url": f"http://{host}:{proxy.port}/",
        "hub_bind_url": hub,
        "hub_connect_url": hub,
        "trusted_downstream_ips": [str(address) for address in proxy.trusted_addresses],
    }


def _database(url: str) -> dict[str, Any]:
    settings: dict[str, Any] = {"db_url": url, "upgrade_db": True}
    if url.startswith("sqlite"):
        settings["db_kwargs"] = {
            "connect_args": {"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "check_same_thread": False}
        }
    return settings


def _conduct() -> dict[str, Any]:
    return {
        # Servers outlive the hub.
        "cleanup_servers": False,
        "cleanup_proxy": False,
        "shutdown_on_logout": False,
        "redirect_to_server": True,
        # Also how long a restarted proxy is without its routes.
        "last_activity_interval": 60,
        # The dispatcher limits how many start at once; this only keeps the hub answering.
        "concurrent_spawn_limit": 100,
        # How long a hub that has restarted waits for servers to answer before it does itself.
        "init_spawners_timeout": 5,
        "authenticate_prometheus": True,
        "oauth_require_pkce": True,
        "token_expires_in_max_seconds": TOKEN_DAYS * 24 * 3600,
    }


def _logs(deployment: Deployment) -> dict[str, Any]:
    level = deployment.config.logs.level.upper()
    return {
        "log_level": level,
        # Merged into JupyterHub's own, where the handler is called "console".
        "logging_config": {
            "formatters": {"json": {"()": "teamhub.logs.JsonFormatter", "process": "hub"}},
            "filters": {
                "secrets": {"()": "teamhub.hub.logs.WithoutSecrets"},
                "levels": {"()": "teamhub.hub.logs.OrdinaryLevels", "level": level},
            },
            "handlers": {
                "console": {
                    "class": "teamhub.logs.LogStream",
                    "formatter": "json",
                    "filters": ["secrets", "levels"],
                    "path": str(deployment.log_file("hub")),
                }
            },
            "root": {"level": "WARNING", "handlers": ["console"]},
            "loggers": {"teamhub": {"level": level}, "JupyterHub": {"propagate": False}},
        },
        "tornado_settings": {
            "transforms": [RequestIds],
            "log_function": log_request,
            "headers": dict(origin.HEADERS),
        },
    }


def _services(deployment: Deployment) -> list[dict[str, Any]]:
    secrets = deployment.secrets()
    return [
        {
            # Learning whose a token is needs that token, and no scope of the gateway's own.
            "name": GATEWAY,
            "url": f"http://127.0.0.1:{deployment.ports().gateway}",
            "api_token": secrets.gateway_token,
            "oauth_no_confirm": True,
            "display": False,
        },
        {
            # The supervisor and the command line.
            "name": OPERATOR,
            "api_token": secrets.operator_token,
            "display": False,
        },
    ]


def _roles(deployment: Deployment) -> list[dict[str, Any]]:
    return [
        {
            "name": "user",
            "description": "A member: their own things, and the gateway",
            "scopes": ["self", GATEWAY_SCOPE],
        },
        {
            "name": "server",
            "description": "A notebook server: its activity, its own pages, and the gateway",
            "scopes": ["users:activity!user", "access:servers!server", GATEWAY_SCOPE],
        },
        {
            "name": OPERATOR,
            "description": "What running a deployment takes",
            "scopes": [
                "admin:users",
                "admin:servers",
                "admin:groups",
                "list:users",
                "tokens",
                "read:hub",
                "proxy",
                "shutdown",
            ],
            "services": [OPERATOR],
        },
        administrator_role(access_servers=deployment.config.hub.administrators_access_servers),
    ]
