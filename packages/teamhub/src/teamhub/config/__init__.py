"""Every setting (`settings`), how a file of them is read (`load`), what is written about them
(`documentation`), and what a change takes (`changes`).

One `teamhub.toml`, validated whole before anything starts.
"""

from teamhub.config.load import CONFIG_NAME, load
from teamhub.config.settings import (
    NAME_PATTERN,
    AccountSettings,
    Config,
    DispatcherSettings,
    EngineSettings,
    EnvironmentSettings,
    GatewaySettings,
    HubSettings,
    KernelSettings,
    LogSettings,
    Part,
    ProcessEngineSettings,
    ProxySettings,
    Section,
    ServerSettings,
    SizeSettings,
    StoreSettings,
    default_kernel_prefix,
    kernelspec_names,
    parse_bytes,
)

__all__ = [
    "CONFIG_NAME",
    "NAME_PATTERN",
    "AccountSettings",
    "Config",
    "DispatcherSettings",
    "EngineSettings",
    "EnvironmentSettings",
    "GatewaySettings",
    "HubSettings",
    "KernelSettings",
    "LogSettings",
    "Part",
    "ProcessEngineSettings",
    "ProxySettings",
    "Section",
    "ServerSettings",
    "SizeSettings",
    "StoreSettings",
    "default_kernel_prefix",
    "kernelspec_names",
    "load",
    "parse_bytes",
]
