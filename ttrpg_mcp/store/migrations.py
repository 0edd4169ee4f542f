"""The tables of a file, step by step: each step and the record that it ran commit together."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources

from ttrpg_mcp.play.errors import SchemaTooNew
from ttrpg_mcp.store.connection import Connection

__all__ = ["APPLICATION_ID", "CAMPAIGN_SCHEMA", "SERVER_SCHEMA", "Migration", "Schema"]

APPLICATION_ID = 0x54545247


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered step; never edited once published."""

    number: int  # 1-based; the file's user_version afterwards
    name: str
    sql: str

    def apply(self, connection: Connection) -> None:
        """Run the step and note its number, in one transaction."""
        try:
            connection.script(f"BEGIN IMMEDIATE;\n{self.sql}\nPRAGMA user_version = {self.number:d};\nCOMMIT;")
        except BaseException:
            if connection.in_transaction:
                connection.run("ROLLBACK")
            raise


@dataclass(frozen=True, slots=True)
class Schema:
    """All tables of one kind of file."""

    folder: str  # below migrations/sqlite

    def migrations(self) -> tuple[Migration, ...]:
        """Every step, in order."""
        return _migrations(self.folder)

    @property
    def latest(self) -> int:
        """The user_version of a file that is up to date."""
        return len(self.migrations())

    def require_known(self, connection: Connection, compartment: str) -> int:
        """The file's user_version. Raises SchemaTooNew when a newer release wrote it."""
        row = connection.one("PRAGMA user_version")
        version = int(row[0]) if row else 0
        if version > self.latest:
            raise SchemaTooNew(compartment, f"user_version {version}, known up to {self.latest}")
        return version

    def migrate(
        self, connection: Connection, compartment: str, before: Callable[[Connection], None] | None = None
    ) -> None:
        """Bring the file up to date; the caller holds its lock. Raises SchemaTooNew, and what `before` raises.

        `before` is called once, outside any transaction, when a file that has tables already is about to be changed:
        the place for a backup. Where it fails the file stays as it is.
        """
        version = self.require_known(connection, compartment)
        pending = self.migrations()[version:]
        if before is not None and version > 0 and pending:
            before(connection)
        for migration in pending:
            migration.apply(connection)


CAMPAIGN_SCHEMA = Schema("campaign")
SERVER_SCHEMA = Schema("server")


@cache
def _migrations(folder: str) -> tuple[Migration, ...]:
    files = resources.files("ttrpg_mcp.store").joinpath("migrations", "sqlite", folder).iterdir()
    found = sorted((file.name, file.read_text("utf-8")) for file in files if file.name.endswith(".sql"))
    steps = tuple(Migration(int(name.split("_")[0]), name, sql) for name, sql in found)
    if [step.number for step in steps] != list(range(1, len(steps) + 1)):
        raise RuntimeError(f"the migrations of {folder} are not numbered 1, 2, 3, ...")
    return steps
