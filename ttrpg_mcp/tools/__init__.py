"""The tools: thin; wire arguments in, one story of play/, wire answer out. One file a family."""

from collections.abc import Sequence
from importlib import import_module
from pkgutil import iter_modules

from ttrpg_mcp.tools._spec import ToolSpec

__all__ = ["all_tools"]

_ORDER = ("dice_roll", "campaign_manage", "session_manage", "status_show", "history_show", "history_rewind")


def all_tools() -> Sequence[ToolSpec]:
    """Every tool of this package, in the order of the tool table."""
    names = sorted(
        module.name for module in iter_modules(__path__) if not module.name.startswith("_") and module.name != "errors"
    )
    specs = {spec.name: spec for name in names for spec in import_module(f"{__name__}.{name}").TOOLS}
    return [specs[name] for name in _ORDER]
