"""The Codex credential and agent provider.

The public face of the package: what is not a plain value is loaded when it is first asked for,
so that a command pays for nothing it does not use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moat.providers.codex.constants import (
    CODEX_INIT_MOUNT_PATH,
    OPENAI_API_KEY_PLACEHOLDER,
    PROXY_INJECTED_PLACEHOLDER,
    default_dependencies,
    network_hosts,
)

if TYPE_CHECKING:
    from moat.providers.codex.doctor import DoctorSection
    from moat.providers.codex.grant import Grant, has_credential
    from moat.providers.codex.mcp import MCPConfig, MCPServer, generate_mcp_config
    from moat.providers.codex.mcp_file import write_mcp_config
    from moat.providers.codex.provider import PROVIDER, Provider
    from moat.providers.codex.staging import populate_staging_dir, write_codex_config

__all__ = [
    "CODEX_INIT_MOUNT_PATH",
    "OPENAI_API_KEY_PLACEHOLDER",
    "PROVIDER",
    "PROXY_INJECTED_PLACEHOLDER",
    "DoctorSection",
    "Grant",
    "MCPConfig",
    "MCPServer",
    "Provider",
    "default_dependencies",
    "generate_mcp_config",
    "has_credential",
    "network_hosts",
    "populate_staging_dir",
    "write_codex_config",
    "write_mcp_config",
]

_MODULES = {
    "DoctorSection": "doctor",
    "Grant": "grant",
    "MCPConfig": "mcp",
    "MCPServer": "mcp",
    "PROVIDER": "provider",
    "Provider": "provider",
    "generate_mcp_config": "mcp",
    "has_credential": "grant",
    "populate_staging_dir": "staging",
    "write_codex_config": "staging",
    "write_mcp_config": "mcp_file",
}

if not TYPE_CHECKING:  # a type checker has the imports above, and would take any name from this

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
