"""Commands of the ttrpg-mcp program, one file a verb."""
