"""ttrpg-mcp install: the configuration of an MCP client."""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ttrpg_mcp.settings import Settings, SettingsRefused, data_folder, process_environment

__all__ = ["CLIENTS", "ClientFile", "add_arguments", "configuration", "merged", "run"]


@dataclass(frozen=True, slots=True)
class ClientFile:
    """Where a client keeps its servers.

    Attributes:
        section: Key of the object that maps server names to servers.
        says_type: Whether an entry names its transport.
    """

    section: str
    says_type: bool


CLIENTS: Mapping[str, ClientFile] = {
    "claude-desktop": ClientFile("mcpServers", says_type=False),
    "claude-code": ClientFile("mcpServers", says_type=True),
    "cursor": ClientFile("mcpServers", says_type=False),
    "vscode": ClientFile("servers", says_type=True),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """--client, --http-url, --print."""
    parser.add_argument("--client", required=True, choices=sorted(CLIENTS), help="which client to configure")
    parser.add_argument(
        "--http-url", default="", metavar="URL", help="a running server to connect to, instead of starting one"
    )
    parser.add_argument(
        "--print", dest="only_print", action="store_true", help="print the configuration and write nothing"
    )


def run(settings: Settings, *, client: str, http_url: str, only_print: bool) -> int:
    """Print the configuration, or merge it into the client's file and keep a backup. Raises SettingsRefused."""
    environment = process_environment()
    chosen = "" if settings.data == data_folder(environment) else str(settings.data)
    entry = configuration(client, http_url=http_url, data=chosen)
    if only_print:
        print(json.dumps(entry, indent=2))
        return 0
    path = client_file(client, environment)
    backup = _write(path, merged(_read(path), entry))
    kept = f" The file as it was is kept as {backup}." if backup else ""
    print(f"Wrote {path}.{kept} Restart the client to use it.")
    return 0


def configuration(client: str, *, http_url: str = "", data: str = "") -> dict[str, Any]:
    """What the client's file must hold."""
    file = CLIENTS[client]
    if http_url:
        server: dict[str, Any] = {"type": "http", "url": http_url} if file.says_type else {"url": http_url}
    else:
        command = own_command()
        server = {"command": command[0], "args": [*command[1:], *(["serve", "--data", data] if data else [])]}
        server = ({"type": "stdio"} if file.says_type else {}) | server
    return {file.section: {"ttrpg": server}}


def own_command() -> list[str]:
    """An absolute command that starts this very installation, since clients start it with a bare PATH."""
    script = Path(sys.executable).with_name("ttrpg-mcp.exe" if os.name == "nt" else "ttrpg-mcp")
    return [str(script)] if script.is_file() else [sys.executable, "-m", "ttrpg_mcp"]


def client_file(client: str, environment: Mapping[str, str]) -> Path:
    """The file of that client; for Cursor, VS Code and Claude Code the one of the folder we are in."""
    home = Path(environment.get("HOME") or environment.get("USERPROFILE") or Path.home())
    if client == "claude-desktop":
        name = "claude_desktop_config.json"
        if sys.platform == "darwin":
            return home / "Library" / "Application Support" / "Claude" / name
        if os.name == "nt":
            return Path(environment.get("APPDATA") or home / "AppData" / "Roaming") / "Claude" / name
        return Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "Claude" / name
    return Path.cwd() / {"claude-code": ".mcp.json", "cursor": ".cursor/mcp.json", "vscode": ".vscode/mcp.json"}[client]


def merged(present: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    """The file's content with our entry in it and everything else as it was. Raises SettingsRefused."""
    result = dict(present)
    for section, servers in entry.items():
        known = result.get(section, {})
        if not isinstance(known, dict):
            raise SettingsRefused(
                f"the client's file holds something else than servers under {section!r}; it was left as it is."
            )
        result[section] = {**known, **servers}
    return result


def _read(path: Path) -> Mapping[str, Any]:
    if not path.exists():
        return {}
    try:
        present = json.loads(path.read_text(encoding="utf-8") or "{}")
    except (OSError, ValueError) as error:
        raise SettingsRefused(f"{path} cannot be read as JSON ({error}); it was left as it is. Use --print.") from error
    if not isinstance(present, dict):
        raise SettingsRefused(f"{path} does not hold a JSON object; it was left as it is. Use --print.")
    return present


def _write(path: Path, content: Mapping[str, Any]) -> Path | None:
    """Replace the file in one step; the path of the backup, where there was a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    backup = None
    if path.exists():
        backup = path.with_name(f"{path.name}.{datetime.now(UTC):%Y%m%d-%H%M%S}.bak")
        shutil.copy2(path, backup)
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    fresh.replace(path)
    return backup
