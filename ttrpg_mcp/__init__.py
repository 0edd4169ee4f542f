"""ttrpg-mcp: an MCP server for tabletop role-playing games."""

__all__ = ["__version__"]

__version__ = "0.1.0"
