"""Node 22, the conformance suite and the Inspector, installed once into a folder that git ignores."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Kit", "KitMissing", "install"]

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".conformance"
SUITE_PACKAGES = ("node@22", "@modelcontextprotocol/conformance@0.2.0-alpha.12")
INSPECTOR_PACKAGES = ("@modelcontextprotocol/inspector@2.12.0",)  # needs Node 22.19 or newer
INSTALL_LIMIT_S = 600


class KitMissing(Exception):
    """The programs that the run needs are not there and could not be installed."""


@dataclass(frozen=True, slots=True)
class Kit:
    """Where the programs are.

    Attributes:
        suite: The program `conformance`.
        inspector: The program `mcp-inspector`.
        environment: For both: our Node first on PATH, and a home of its own, so that nothing is left in the user's.
    """

    suite: Path
    inspector: Path
    environment: Mapping[str, str]


def install() -> Kit:
    """The kit, installed where it is not there yet. Raises KitMissing."""
    node, inspector = FOLDER / "suite", FOLDER / "inspector"
    programs = node / "node_modules" / ".bin"
    home = FOLDER / "home"
    home.mkdir(parents=True, exist_ok=True)
    path = os.pathsep.join([str(programs), os.environ.get("PATH", os.defpath)])
    _install_once(node, SUITE_PACKAGES, os.environ)
    _install_once(inspector, INSPECTOR_PACKAGES, {**os.environ, "PATH": path})
    return Kit(
        suite=programs / "conformance",
        inspector=inspector / "node_modules" / ".bin" / "mcp-inspector",
        environment={**os.environ, "PATH": path, "HOME": str(home)},
    )


def _install_once(folder: Path, packages: tuple[str, ...], environment: Mapping[str, str]) -> None:
    """Install the packages unless the marker, written last, names the same ones."""
    marker = folder / "installed.txt"
    wanted = "\n".join(packages)
    if marker.is_file() and marker.read_text(encoding="utf-8") == wanted:
        return
    npm = shutil.which("npm")
    if npm is None:
        raise KitMissing("npm is needed to install the conformance suite; install Node.js with npm, and try again.")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "package.json").write_text('{"private": true}\n', encoding="utf-8")
    print(f"installing {' and '.join(packages)} ...", flush=True)
    _run_npm([npm, "install", "--no-audit", "--no-fund", "--no-package-lock", *packages], folder, environment)
    marker.write_text(wanted, encoding="utf-8")


def _run_npm(command: list[str], folder: Path, environment: Mapping[str, str]) -> None:
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=INSTALL_LIMIT_S
        )
    except subprocess.TimeoutExpired as error:
        raise KitMissing(f"npm did not end within {INSTALL_LIMIT_S} seconds.") from error
    if done.returncode != 0:
        said = next((line for line in done.stderr.splitlines() if "error" in line), "it did not say why")
        raise KitMissing(f"npm could not install the conformance suite: {said}.")
