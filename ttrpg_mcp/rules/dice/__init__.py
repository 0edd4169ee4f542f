"""Dice: parse, check, roll exactly, and say what was done.

text ── parse ──> Expression ── evaluate (with a Chance) ──> Roll
"""

from ttrpg_mcp.rules.dice.advantage import Way, with_advantage
from ttrpg_mcp.rules.dice.chance import (
    Chance,
    FixedChance,
    SampleChance,
    StreamChance,
    commitment,
    open_half,
    secret_half,
)
from ttrpg_mcp.rules.dice.check import check
from ttrpg_mcp.rules.dice.die import Die
from ttrpg_mcp.rules.dice.errors import (
    ChanceExhausted,
    DiceAdvantageError,
    DiceAmbiguousError,
    DiceDivZeroError,
    DiceEmptyError,
    DiceEndlessError,
    DiceError,
    DiceSidesError,
    DiceSpaceError,
    DiceSyntaxError,
    DiceTooBigError,
    DiceTooDeepError,
    DiceTooManyError,
    DiceUnclosedError,
    DiceUnknownFuncError,
    DiceUnknownVarError,
    FaceImpossible,
)
from ttrpg_mcp.rules.dice.evaluate import evaluate, evaluate_all
from ttrpg_mcp.rules.dice.grammar import parse
from ttrpg_mcp.rules.dice.limits import DEFAULT_LIMITS, Limits
from ttrpg_mcp.rules.dice.roll import Roll
from ttrpg_mcp.rules.dice.show import breakdown, canonical
from ttrpg_mcp.rules.dice.tree import Bounds, Expression, Value

__all__ = [
    "DEFAULT_LIMITS",
    "Bounds",
    "Chance",
    "ChanceExhausted",
    "DiceAdvantageError",
    "DiceAmbiguousError",
    "DiceDivZeroError",
    "DiceEmptyError",
    "DiceEndlessError",
    "DiceError",
    "DiceSidesError",
    "DiceSpaceError",
    "DiceSyntaxError",
    "DiceTooBigError",
    "DiceTooDeepError",
    "DiceTooManyError",
    "DiceUnclosedError",
    "DiceUnknownFuncError",
    "DiceUnknownVarError",
    "Die",
    "Expression",
    "FaceImpossible",
    "FixedChance",
    "Limits",
    "Roll",
    "SampleChance",
    "StreamChance",
    "Value",
    "Way",
    "breakdown",
    "canonical",
    "check",
    "commitment",
    "evaluate",
    "evaluate_all",
    "open_half",
    "parse",
    "secret_half",
    "with_advantage",
]
