"""The recovery matrix: every exception class of the project once, its code, and what to say about it.

A class is looked up along its ancestors, so a subclass never falls through; an unknown class is INTERNAL. Codes never
change. Only this module and the gate make sentences; the classes below carry facts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ttrpg_mcp.play import errors as play
from ttrpg_mcp.recovery import errors as recovery
from ttrpg_mcp.recovery.fault import ErrorCategory, ErrorClass, ErrorSeverity, RecoveryStrategy, lookup, unwrap
from ttrpg_mcp.rules.dice import errors as dice
from ttrpg_mcp.tools import errors as tools
from ttrpg_mcp.tools._envelope import Envelope

__all__ = [
    "CLASS_CODES",
    "ERROR_RECOVERY_STRATEGIES",
    "SENTENCES",
    "Sentence",
    "classify",
    "code_of",
    "envelope",
    "root_cause",
]

_CALLER, _TRANSIENT, _PERSISTENT = ErrorClass.CALLER, ErrorClass.TRANSIENT, ErrorClass.PERSISTENT
_LOW, _MEDIUM, _HIGH, _CRITICAL = ErrorSeverity.LOW, ErrorSeverity.MEDIUM, ErrorSeverity.HIGH, ErrorSeverity.CRITICAL
_DATA, _SYSTEM, _RULES = ErrorCategory.DATA, ErrorCategory.SYSTEM, ErrorCategory.RULES


@dataclass(frozen=True, slots=True)
class Sentence:
    """What is said after the error's own words.

    Attributes:
        kept: What is safe.
        advice: What to do next; `{campaign}` and `{key}` are filled where they are known.
        message: In place of the error's own words, where those are not for the table.
        retry_after_s: When a repeat makes sense, where the error does not say.
        state_changed: None when nobody can say yet.
    """

    kept: str = "Nothing was changed."
    advice: str = ""
    message: str = ""
    retry_after_s: float | None = None
    state_changed: bool | None = False


def _row(
    code: str,
    error_class: ErrorClass,
    severity: ErrorSeverity,
    category: ErrorCategory,
    *,
    strategy: str = "none",
    max_retries: int = 0,
) -> RecoveryStrategy:
    return RecoveryStrategy(
        code=code,
        error_class=error_class,
        severity=severity,
        category=category,
        recoverable=error_class is ErrorClass.TRANSIENT or code in _RECOVERABLE,
        strategy=strategy,
        max_retries=max_retries,
    )


_RECOVERABLE = frozenset({"DATABASE_UNAVAILABLE", "RESOURCE_EXHAUSTED", "OUTCOME_UNKNOWN", "CAMPAIGN_PAUSED"})
_DICE_ERRORS = tuple(dice.DiceError.__subclasses__())
_CALLER_CODES = (
    "LIMIT_REACHED",
    "NAME_AMBIGUOUS",
    "NAME_TAKEN",
    "NOT_FOUND",
    "REQUEST_KEY_REUSED",
    "UNKNOWN_TOOL",
    "VALIDATION",
)

ERROR_RECOVERY_STRATEGIES: Mapping[str, RecoveryStrategy] = MappingProxyType(
    {
        row.code: row
        for row in (
            _row("BUSY", _TRANSIENT, _LOW, _SYSTEM, strategy="backoff_with_jitter", max_retries=4),
            _row("CAMPAIGN_PAUSED", _CALLER, _MEDIUM, _DATA, strategy="pause_and_intervene"),
            _row("CONFLICT", _CALLER, _MEDIUM, _DATA),
            _row("DATABASE_UNAVAILABLE", _PERSISTENT, _CRITICAL, _SYSTEM, strategy="circuit_breaker"),
            _row("INTERNAL", _PERSISTENT, _HIGH, _SYSTEM),
            _row("MCP_TIMEOUT", _TRANSIENT, _MEDIUM, _SYSTEM),
            _row("NOT_ALLOWED", _CALLER, _LOW, _RULES),
            _row("NOT_SAVED", _TRANSIENT, _HIGH, _DATA, strategy="backoff_with_jitter", max_retries=4),
            _row("OUTCOME_UNKNOWN", _PERSISTENT, _HIGH, _DATA, strategy="same_key"),
            _row("OVERLOADED", _TRANSIENT, _MEDIUM, _SYSTEM),
            _row("RESOURCE_EXHAUSTED", _PERSISTENT, _HIGH, _SYSTEM, strategy="circuit_breaker"),
            _row("SCHEMA_TOO_NEW", _PERSISTENT, _HIGH, _DATA),
            _row("SHUTTING_DOWN", _TRANSIENT, _MEDIUM, _SYSTEM),
            _row("STARTING_UP", _TRANSIENT, _MEDIUM, _SYSTEM),
            _row("STATE_CORRUPTION", _PERSISTENT, _CRITICAL, _DATA, strategy="circuit_breaker"),
            *(_row(code, _CALLER, _LOW, _DATA) for code in _CALLER_CODES),
            *(_row(entry.code, _CALLER, _LOW, _RULES) for entry in _DICE_ERRORS),
        )
    }
)

CLASS_CODES: Mapping[type[BaseException], str] = MappingProxyType(
    {
        recovery.AdmissionClosed: "SHUTTING_DOWN",
        recovery.BulkheadFull: "OVERLOADED",
        recovery.CircuitOpen: "DATABASE_UNAVAILABLE",
        recovery.DeadlineExceeded: "MCP_TIMEOUT",
        play.BadCursor: "VALIDATION",
        play.CampaignPaused: "CAMPAIGN_PAUSED",
        play.NameAmbiguous: "NAME_AMBIGUOUS",
        play.NameTaken: "NAME_TAKEN",
        play.NotFound: "NOT_FOUND",
        play.NothingToRewind: "NOT_FOUND",
        play.NotNow: "NOT_ALLOWED",
        play.NotSaved: "NOT_SAVED",
        play.OutOfMemory: "RESOURCE_EXHAUSTED",
        play.OutcomeUnknown: "OUTCOME_UNKNOWN",
        play.ReadOnly: "DATABASE_UNAVAILABLE",
        play.ReadOnlyFull: "RESOURCE_EXHAUSTED",
        play.RequestKeyReused: "REQUEST_KEY_REUSED",
        play.RewindBlocked: "CONFLICT",
        play.SchemaTooNew: "SCHEMA_TOO_NEW",
        play.StoreBusy: "BUSY",
        play.StoreCorrupt: "STATE_CORRUPTION",
        play.StoreFull: "RESOURCE_EXHAUSTED",
        play.StoreInterrupted: "MCP_TIMEOUT",
        play.TooLarge: "LIMIT_REACHED",
        play.StoreUnavailable: "DATABASE_UNAVAILABLE",
        play.VersionConflict: "CONFLICT",
        tools.ArgumentsTooLarge: "LIMIT_REACHED",
        tools.BadArguments: "VALIDATION",
        tools.StartingUp: "STARTING_UP",
        tools.UnknownTool: "UNKNOWN_TOOL",
        **{entry: entry.code for entry in _DICE_ERRORS},
    }
)

_SAFE = "Everything answered so far is safe; nothing was changed by this call."
_REPEAT = "Repeat the call in a moment, with the same request_key if it had one."

SENTENCES: Mapping[str, Sentence] = MappingProxyType(
    {
        "BUSY": Sentence(advice=_REPEAT, retry_after_s=1.0),
        "CAMPAIGN_PAUSED": Sentence(advice="Only the game master can open it again."),
        "CONFLICT": Sentence(advice="Look again and decide; the state shown is the newest."),
        "DATABASE_UNAVAILABLE": Sentence(
            kept=_SAFE,
            advice=f"Check the disk and the folder's permissions. {_REPEAT}",
            retry_after_s=1.0,
        ),
        "INTERNAL": Sentence(
            kept="Everything answered so far is safe.",
            advice=(
                "Look with history_show whether this call took effect; the operator finds the details under incident "
                "{incident}."
            ),
            message="Something went wrong inside the server.",
            state_changed=None,
        ),
        "MCP_TIMEOUT": Sentence(message="The call took too long and was stopped.", advice=_REPEAT, retry_after_s=1.0),
        "NOT_SAVED": Sentence(kept=_SAFE, advice=_REPEAT, retry_after_s=1.0),
        "OUTCOME_UNKNOWN": Sentence(
            kept="Everything answered so far is safe.",
            advice=(
                "Repeat the call with the same request_key: it is then done once, whatever happened. Without a key "
                "look with history_show first."
            ),
            retry_after_s=1.0,
            state_changed=None,
        ),
        "OVERLOADED": Sentence(message="Too many calls are waiting for this campaign.", advice=_REPEAT),
        "RESOURCE_EXHAUSTED": Sentence(kept=_SAFE, advice=f"Free some space. {_REPEAT}", retry_after_s=5.0),
        "SCHEMA_TOO_NEW": Sentence(kept="The file was left as it is.", advice="Start the newer release."),
        "SHUTTING_DOWN": Sentence(message="The server is stopping.", advice="Repeat the call when the server is back."),
        "STARTING_UP": Sentence(advice=_REPEAT),
        "STATE_CORRUPTION": Sentence(
            kept="It was left as it is.",
            advice="Keep the file, and put a copy of it from a backup in its place.",
        ),
        "LIMIT_REACHED": Sentence(advice="Send less in one call."),
        "NAME_AMBIGUOUS": Sentence(advice="Give the full name as campaign."),
        "NAME_TAKEN": Sentence(),
        "NOT_ALLOWED": Sentence(),
        "NOT_FOUND": Sentence(),
        "REQUEST_KEY_REUSED": Sentence(advice="Use a new request_key for a new call."),
        "UNKNOWN_TOOL": Sentence(),
        "VALIDATION": Sentence(advice="Correct that and call again."),
    }
)


def root_cause(error: BaseException) -> BaseException:
    """The error that the matrix knows: groups of one and the SDK's wrappers are taken off, the rest stays."""
    error = unwrap(error)
    while lookup(CLASS_CODES, error, "") == "" and error.__cause__ is not None:
        error = unwrap(error.__cause__)
    return error


def code_of(error: BaseException) -> str:
    """The code of the error's class or of its nearest listed ancestor; INTERNAL for a class nobody foresaw."""
    return lookup(CLASS_CODES, unwrap(error), "INTERNAL")


def classify(error: BaseException) -> ErrorClass:
    """What may be done about the error."""
    return ERROR_RECOVERY_STRATEGIES[code_of(error)].error_class


def envelope(
    error: BaseException, *, campaign: str = "", request_key: str | None = None, incident: str | None = None
) -> Envelope:
    """The refusal that the caller reads. `incident` is shown for INTERNAL only."""
    code = code_of(error)
    row = ERROR_RECOVERY_STRATEGIES[code]
    sentence = SENTENCES.get(code, Sentence())
    retry_after_s = getattr(error, "retry_after_s", None) or sentence.retry_after_s
    return Envelope(
        code=code,
        category=row.category.value,
        severity=row.severity.value,
        message=str(error) if isinstance(error, play.ReadOnly) else sentence.message or str(error),
        kept=_kept(error, sentence),
        advice=_advice(error, sentence, campaign, incident),
        retryable=row.error_class is ErrorClass.TRANSIENT
        or code in {"OUTCOME_UNKNOWN", "DATABASE_UNAVAILABLE", "RESOURCE_EXHAUSTED"},
        retry_after_s=retry_after_s,
        state_changed=sentence.state_changed,
        fields=_fields(error),
        suggestions=_suggestions(error),
        request_key=request_key,
        incident=incident if code == "INTERNAL" else None,
    )


def _kept(error: BaseException, sentence: Sentence) -> str:
    if isinstance(error, play.ReadOnly) and error.safe_seq:
        return f"Everything up to change {error.safe_seq} is safe; nothing was changed by this call."
    return sentence.kept


def _advice(error: BaseException, sentence: Sentence, campaign: str, incident: str | None) -> str:
    advice = sentence.advice.replace("{incident}", incident or "")
    if isinstance(error, dice.DiceError):
        return "\n" + error.caret
    if isinstance(error, play.NameTaken):
        advice = error.suggestion
    repeats = "request_key" in advice and campaign
    return f'{advice} Name the campaign too: campaign="{campaign}".' if repeats else advice


def _fields(error: BaseException) -> Sequence[Mapping[str, Any]]:
    if isinstance(error, tools.BadArguments):
        return [problem.as_data() for problem in error.fields]
    if isinstance(error, dice.DiceError):
        return [tools.FieldProblem("expression", error.problem, position=error.position).as_data()]
    return ()


def _suggestions(error: BaseException) -> Sequence[str]:
    match error:
        case tools.BadArguments():
            return error.suggestions
        case tools.UnknownTool() | play.NotFound():
            return error.near
        case play.NameAmbiguous():
            return error.matches
        case play.NameTaken():
            return (error.suggestion,)
        case dice.DiceError():
            return (error.suggestion,) if error.suggestion else ()
        case _:
            return ()
