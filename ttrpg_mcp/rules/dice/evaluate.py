"""A tree and chance to a roll."""

from ttrpg_mcp.rules.dice import readings
from ttrpg_mcp.rules.dice.arithmetic import DIVISIONS, apply
from ttrpg_mcp.rules.dice.chance import Chance
from ttrpg_mcp.rules.dice.check import check
from ttrpg_mcp.rules.dice.die import Die
from ttrpg_mcp.rules.dice.errors import DiceDivZeroError, DiceTooBigError
from ttrpg_mcp.rules.dice.labels import subtotals
from ttrpg_mcp.rules.dice.limits import DEFAULT_LIMITS, Limits
from ttrpg_mcp.rules.dice.roll import Roll
from ttrpg_mcp.rules.dice.throw import Source, Throw, throw
from ttrpg_mcp.rules.dice.tree import Chain, Dice, Expression, Labelled, Negate, Node, Number, Step, Value

__all__ = ["evaluate", "evaluate_all"]


def evaluate(expression: Expression, chance: Chance, limits: Limits = DEFAULT_LIMITS) -> Roll:
    """Roll the expression once, whatever its `times`; evaluate_all repeats it.

    Terms are drawn from the left, each with one call for all its dice; a modifier's new dice follow one by one.
    limits are those that the expression was parsed with, or tighter.

    Raises:
        DiceTooManyError: explosions and rerolls passed the limit of dice.
    """
    return _Run(expression, chance, limits, limits.repeated_dice).roll()


def evaluate_all(
    expression: Expression, times: int, chance: Chance, limits: Limits = DEFAULT_LIMITS
) -> tuple[Roll, ...]:
    """Roll the expression this often, one roll after the other, within one budget of dice.

    times is 1..limits.repeats and counts alone; `expression.times` is for the caller to take.

    Raises:
        DiceTooManyError: too many repeats or dice, seen before the first draw; or explosions and rerolls passed the
            limit of a roll, or of all repeats together.
        DiceSyntaxError: no repeat at all.
    """
    check(expression, times, limits)
    rolls: list[Roll] = []
    left = limits.repeated_dice
    for _ in range(times):
        run = _Run(expression, chance, limits, left)
        rolls.append(run.roll())
        left -= run.drawn
    return tuple(rolls)


class _Run:
    """One evaluation."""

    def __init__(self, expression: Expression, chance: Chance, limits: Limits, left_for_repeats: int) -> None:
        self.pools: list[Throw] = []
        self._expression = expression
        self._largest = limits.value
        self._source = Source(chance, expression.text, limits, left_for_repeats)
        self._throws: list[Throw] = []

    @property
    def drawn(self) -> int:
        """How many dice were drawn so far."""
        return self._source.drawn

    def roll(self) -> Roll:
        """The finished roll; asked for once."""
        total = self.value(self._expression.root)
        failures = [pool.failures for pool in self.pools if pool.failures is not None]
        return Roll(
            expression=self._expression,
            total=total,
            dice=self.dice(),
            successes=sum([pool.value for pool in self.pools]) if self.pools else None,
            failures=sum(failures) if failures else None,
            by_label=self.by_label(),
            notes=self.notes(),
        )

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
        # Both errors are ruled out by the check of the bounds; a total that is wrong would be worse than a leak.
        if step.operator in DIVISIONS and right == 0:
            raise DiceDivZeroError(self._expression.text, step.position, "Division by zero.")
        if step.operator == "%" and left * right < 0:
            self._source.notes[readings.wrapped_rest()] = None
        value = apply(step.operator, left, right)
        if not -self._largest <= value <= self._largest:
            problem = f"The result passed {self._largest:,}; that is the limit of every value."
            raise DiceTooBigError(self._expression.text, step.position, problem)
        return value
