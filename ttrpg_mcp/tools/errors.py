"""Errors of the gate and of the tools themselves.

ToolRefusal
├── UnknownTool        no tool has that name
├── BadArguments       the arguments do not fit the tool
├── ArgumentsTooLarge  the arguments are larger than any call needs
└── StartingUp         the storage is not open yet
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["ArgumentsTooLarge", "BadArguments", "FieldProblem", "StartingUp", "ToolRefusal", "UnknownTool"]


class ToolRefusal(Exception):
    """The gate does not let the call through."""


class UnknownTool(ToolRefusal):
    """No tool has that name."""

    def __init__(self, name: str, near: Sequence[str], known: Sequence[str]) -> None:
        hint = f" Did you mean {near[0]}?" if near else ""
        shown = "".join(letter if letter.isprintable() else " " for letter in name[:80])
        super().__init__(f'There is no tool named "{shown}".{hint} Tools: {", ".join(known)}.')
        self.name = shown
        self.near = tuple(near)


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One argument that does not fit.

    Attributes:
        field: Path of the argument, joined with dots.
        problem: What is wrong, as words that follow the name.
        allowed: What would do: a range, the choices, or an example.
        position: 0-based place inside a text argument, where that says more.
    """

    field: str
    problem: str
    allowed: str = ""
    position: int | None = None

    def as_data(self) -> Mapping[str, object]:
        """JSON-ready, with what applies."""
        place = {} if self.position is None else {"position": self.position}
        return {"field": self.field, "problem": self.problem, "allowed": self.allowed} | place

    def __str__(self) -> str:
        return f"{self.field} {self.problem}" + (f" ({self.allowed})" if self.allowed else "")


class BadArguments(ToolRefusal):
    """The arguments do not fit the tool."""

    def __init__(self, tool: str, problems: Sequence[FieldProblem], suggestions: Sequence[str] = ()) -> None:
        super().__init__(f"{tool}: {'; '.join(str(problem) for problem in problems)}.")
        self.tool = tool
        self.fields = tuple(problems)
        self.suggestions = tuple(suggestions)


class ArgumentsTooLarge(ToolRefusal):
    """The arguments are larger than any call needs."""

    def __init__(self, tool: str, limit: int) -> None:
        super().__init__(f"The arguments of {tool} are larger than {limit:,} letters.")
        self.limit = limit


class StartingUp(ToolRefusal):
    """The storage is not open yet."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__("The server is still opening its files.")
        self.retry_after_s = retry_after_s
