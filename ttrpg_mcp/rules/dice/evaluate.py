"""A tree and chance to a roll."""

from ttrpg_mcp.rules.dice import readings
from ttrpg_mcp.rules.dice.arithmetic import DIVISIONS, apply
from ttrpg_mcp.rules.dice.chance import Chance
from ttrpg_mcp.rules.dice.die import Die
from ttrpg_mcp.rules.dice.errors import DiceDivZeroError, DiceTooBigError
from ttrpg_mcp.rules.dice.labels import subtotals
from ttrpg_mcp.rules.dice.limits import DEFAULT_LIMITS, Limits
from ttrpg_mcp.rules.dice.roll import Roll
from ttrpg_mcp.rules.dice.throw import Source, Throw, throw
from ttrpg_mcp.rules.dice.tree import Chain, Dice, Expression, Labelled, Negate, Node, Number, Step, Value

__all__ = ["evaluate"]


def evaluate(expression: Expression, chance: Chance, limits: Limits = DEFAULT_LIMITS) -> Roll:
    """Roll the expression once; the caller repeats it `expression.times`.

    Terms are drawn from the left, each with one call for all its dice; a modifier's new dice follow one by one.

    Raises:
        DiceTooManyError: explosions and rerolls passed the limit of dice.
        DiceDivZeroError: a divisor came to zero.
        DiceTooBigError: a value passed its limit.
    """
    run = _Run(expression, chance, limits)
    total = run.value(expression.root)
    failures = [pool.failures for pool in run.pools if pool.failures is not None]
    return Roll(
        expression=expression,
        total=total,
        dice=run.dice(),
        successes=sum([pool.value for pool in run.pools]) if run.pools else None,
        failures=sum(failures) if failures else None,
        by_label=run.by_label(),
        notes=run.notes(),
    )


class _Run:
    """One evaluation."""

    def __init__(self, expression: Expression, chance: Chance, limits: Limits) -> None:
        self.pools: list[Throw] = []
        self._expression = expression
        self._largest = limits.value
        self._source = Source(chance, expression.text, limits)
        self._throws: list[Throw] = []

    def value(self, node: Node) -> Value:
        """The exact value of a node; draws what it needs, from the left."""
        match node:
            case Dice():
                return self._thrown(node)
            case Number():
                return node.value
            case Chain():
                value = self.value(node.first)
                for step in node.steps:
                    value = self._applied(step, value, self.value(step.operand))
                return value
            case Negate():
                return -self.value(node.operand)
            case Labelled():
                return self.value(node.operand)

    def dice(self) -> tuple[Die, ...]:
        """Every die drawn so far."""
        if len(self._throws) == 1:
            return self._throws[0].dice
        return tuple([die for thrown in self._throws for die in thrown.dice])

    def by_label(self) -> tuple[tuple[str, Value], ...]:
        """Subtotals, where there are labels."""
        if not self._expression.has_labels:
            return ()
        return tuple(subtotals(self._expression.root, (thrown.value for thrown in self._throws)).items())

    def notes(self) -> tuple[str, ...]:
        """What the text and the dice gave reason to say."""
        return (*self._expression.notes, *self._source.notes)

    def _thrown(self, dice: Dice) -> int:
        thrown = throw(dice, len(self._throws), self._source)
        self._throws.append(thrown)
        if dice.is_pool:
            self.pools.append(thrown)
        return thrown.value

    def _applied(self, step: Step, left: Value, right: Value) -> Value:
        if step.operator in DIVISIONS and right == 0:
            raise DiceDivZeroError(self._expression.text, step.position, "Division by zero.")
        if step.operator == "%" and left * right < 0:
            self._source.notes[readings.wrapped_rest()] = None
        value = apply(step.operator, left, right)
        if not -self._largest <= value <= self._largest:
            problem = f"The result passed {self._largest:,}; that is the limit of every value."
            raise DiceTooBigError(self._expression.text, step.position, problem)
        return value
