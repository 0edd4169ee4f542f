"""The command line: settings from flags, then one of the commands.

Exit codes: 0 done, asked to stop, or end of input; 1 a check found something, or a second signal; 2 wrong command line;
78 settings that are refused.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields
from importlib import import_module

from ttrpg_mcp import __version__
from ttrpg_mcp.settings import EXIT_SETTINGS, Settings, SettingsRefused, load_settings, process_environment

__all__ = ["main", "make_parser"]

COMMANDS = {
    "serve": "serve the MCP protocol over stdin and stdout, or over HTTP with --http (the default command)",
    "demo": "play a short session against the real server, with a crash in the middle",
    "install": "write the configuration of an MCP client",
    "doctor": "check that the server can start and save here",
}


def make_parser(chosen: str) -> argparse.ArgumentParser:
    """The parser of the command line.

    Only the chosen command's module is loaded, since start-up is what clients wait for.
    """
    parser = argparse.ArgumentParser(prog="ttrpg-mcp", description="An MCP server for tabletop role-playing games.")
    parser.add_argument("--version", action="version", version=f"ttrpg-mcp {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command")
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        _add_settings(command)
        if name == chosen:
            import_module(f"ttrpg_mcp.commands.{name}").add_arguments(command)
    return parser


def _add_settings(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("settings (also TTRPG_MCP_<NAME> in the environment)")
    for entry in fields(Settings):
        flag = "--" + entry.name.replace("_", "-")
        text = entry.metadata["meaning"].replace("%", "%%")
        if isinstance(entry.default, bool):
            group.add_argument(flag, dest=entry.name, action=argparse.BooleanOptionalAction, default=None, help=text)
        else:
            group.add_argument(flag, dest=entry.name, default=None, metavar=entry.name.upper(), help=text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or (given[0].startswith("-") and given[0] not in {"-h", "--help", "--version"}):
        given.insert(0, "serve")
    options = vars(make_parser(given[0]).parse_args(given))
    command = import_module(f"ttrpg_mcp.commands.{options.pop('command')}")
    flags = {entry.name: options.pop(entry.name) for entry in fields(Settings)}
    try:
        settings = load_settings(flags, process_environment())
        code: int = command.run(settings, **options)
    except SettingsRefused as error:
        sys.stderr.write(f"ttrpg-mcp: {error}\n")
        return EXIT_SETTINGS
    return code
