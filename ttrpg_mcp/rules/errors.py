"""Errors of the game's own rules.

RuleError
└── DiceError            (rules/dice/errors.py, one class a code)
"""

__all__ = ["RuleError"]


class RuleError(Exception):
    """The rules of the game, or the notation of the dice, refuse what was asked."""
