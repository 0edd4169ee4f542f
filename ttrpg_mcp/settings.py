"""One frozen Settings; nothing else reads the environment.

Order: flag, environment variable `TTRPG_MCP_<NAME>`, TOML file, default. A refused value raises SettingsRefused with
one sentence; the command line turns it into exit code 78.
"""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from ipaddress import ip_address
from pathlib import Path
from typing import Any

__all__ = ["EXIT_SETTINGS", "Settings", "SettingsRefused", "data_folder", "load_settings"]

EXIT_SETTINGS = 78  # EX_CONFIG of sysexits.h
ENVIRONMENT_PREFIX = "TTRPG_MCP_"
LOG_LEVELS = ("debug", "info", "warning", "error")
FAMILIES = ("dice", "campaign", "character", "combat", "note", "map", "rules", "recovery", "transfer")


class SettingsRefused(ValueError):
    """A setting has a value that cannot be used."""


def data_folder(environment: Mapping[str, str], platform: str = sys.platform) -> Path:
    """The platform's folder for a user's data, with our own name below it."""
    home = Path(environment.get("HOME") or environment.get("USERPROFILE") or Path.home())
    if platform == "win32":
        return Path(environment.get("LOCALAPPDATA") or home / "AppData" / "Local") / "ttrpg-mcp"
    if platform == "darwin":
        return home / "Library" / "Application Support" / "ttrpg-mcp"
    return Path(environment.get("XDG_DATA_HOME") or home / ".local" / "share") / "ttrpg-mcp"


def _is_loopback(host: str) -> bool:
    """Whether only this machine can connect to that address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _text(value: object) -> str:
    return str(value)


def _folder(value: object) -> Path:
    if "\0" in str(value):
        raise ValueError("must not hold a NUL letter")
    path = Path(str(value)).expanduser()
    if not path.is_absolute():
        raise ValueError("must be an absolute path, because a client starts the server in a folder of its own")
    return path


def _file(value: object) -> Path:
    path = _folder(value)
    if not path.is_file():
        raise ValueError("is not a file")
    return path


def _switch(value: object) -> bool:
    word = str(value).strip().lower()
    if word in {"1", "true", "yes", "on"}:
        return True
    if word in {"", "0", "false", "no", "off"}:
        return False
    raise ValueError("must be on or off")


def _whole(low: int, high: int) -> Callable[[object], int]:
    def convert(value: object) -> int:
        number = int(str(value))
        if not low <= number <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return number

    return convert


def _seconds(low: float, high: float) -> Callable[[object], float]:
    def convert(value: object) -> float:
        number = float(str(value))
        if not low <= number <= high:  # NaN compares false, so it is refused too
            raise ValueError(f"must be a number of seconds from {low:g} to {high:g}")
        return number

    return convert


def _one_of(*words: str) -> Callable[[object], str]:
    def convert(value: object) -> str:
        word = str(value).strip().lower()
        if word not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return word

    return convert


def _families(value: object) -> tuple[str, ...]:
    words = value if isinstance(value, list | tuple) else str(value).split(",")
    names = tuple(str(word).strip().lower() for word in words if str(word).strip())
    unknown = [name for name in names if name not in FAMILIES]
    if unknown:
        raise ValueError(f"names the unknown family {unknown[0]!r}; known: {', '.join(FAMILIES)}")
    return names


def _setting(meaning: str, convert: Callable[[object], Any], default: Any, unit: str = "") -> Any:
    return field(default=default, metadata={"meaning": meaning, "convert": convert, "unit": unit})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be chosen from outside; see each field's meaning."""

    data: Path = field(
        metadata={
            "meaning": "data folder, absolute; default: the platform's user data folder",
            "convert": _folder,
            "unit": "",
        }
    )
    config: Path | None = _setting("TOML file with any of these settings", _file, None)
    tools: tuple[str, ...] = _setting("families of tools to show, by comma; empty: all", _families, ())
    http: bool = _setting("serve streamable HTTP instead of stdio", _switch, default=False)
    host: str = _setting("address to listen on; loopback only, until callers can be told apart", _text, "127.0.0.1")
    port: int = _setting("port to listen on; 0 takes a free one", _whole(0, 65_535), 8765)
    log_level: str = _setting("least level of the JSON lines on stderr", _one_of(*LOG_LEVELS), "info")
    interactive_s: float = _setting("longest time for one tool call", _seconds(0.1, 25), 4.5, "s")
    drain_s: float = _setting("longest wait for running calls at a stop", _seconds(0, 2), 2.0, "s")
    campaign_slots: int = _setting("calls of one campaign that run at once", _whole(1, 256), 8)
    campaign_queue: int = _setting("calls of one campaign that may wait", _whole(0, 10_000), 256)

    def __post_init__(self) -> None:
        """Refuse what does not go together."""
        if self.http and not _is_loopback(self.host):
            raise SettingsRefused(
                f"host {self.host} is refused: people on a network cannot be told apart yet, so only this machine may "
                "connect. Use 127.0.0.1."
            )


def load_settings(flags: Mapping[str, object], environment: Mapping[str, str]) -> Settings:
    """Settings from flags, environment and file. Raises SettingsRefused."""
    given = {name: value for name, value in flags.items() if value is not None}
    surroundings = {
        entry.name: environment[ENVIRONMENT_PREFIX + entry.name.upper()]
        for entry in fields(Settings)
        if environment.get(ENVIRONMENT_PREFIX + entry.name.upper(), "") != ""
    }
    chosen = surroundings | given
    values = _from_file(chosen.get("config")) | chosen
    values.setdefault("data", data_folder(environment))
    names = [entry.name for entry in fields(Settings) if entry.name in values]
    converted: dict[str, Any] = {name: _convert(name, values[name]) for name in names}
    return Settings(**converted)


def _convert(name: str, value: object) -> object:
    """One value by its field's converter. Raises SettingsRefused."""
    convert = next(entry for entry in fields(Settings) if entry.name == name).metadata["convert"]
    try:
        return convert(value)
    except ValueError as error:
        problem = str(error) if str(error).startswith(("must", "names", "is ")) else "is not a number"
        raise SettingsRefused(f"{name} {problem} (it is {str(value)[:60]!r}).") from error


def _from_file(path: object) -> dict[str, object]:
    """The settings of the TOML file. Raises SettingsRefused for what it cannot read or does not know."""
    if path is None:
        return {}
    import tomllib  # noqa: PLC0415 - only whoever has a file waits for its reader

    file = _convert("config", path)
    try:
        values = tomllib.loads(Path(str(file)).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsRefused(f"config {str(path)[:200]!r} cannot be read: {error}.") from error
    known = {entry.name for entry in fields(Settings)} - {"config"}
    unknown = sorted(set(values) - known)
    if unknown:
        raise SettingsRefused(f"config names the unknown setting {unknown[0]!r}; known: {', '.join(sorted(known))}.")
    return values


def process_environment() -> Mapping[str, str]:
    """The environment of this process; the only place that reads it."""
    return os.environ
