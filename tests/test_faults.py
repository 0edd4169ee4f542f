"""The matrix: every class of ours once, every code with a row, every row with something to say."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator

import pytest

import ttrpg_mcp
from ttrpg_mcp import faults
from ttrpg_mcp.play.errors import (
    AlreadyAnswered,
    NameTaken,
    NotFound,
    OutcomeUnknown,
    PlayError,
    StoreBusy,
    StoreError,
    StoreFull,
)
from ttrpg_mcp.recovery.errors import BulkheadFull, DeadlineExceeded, RecoveryError
from ttrpg_mcp.recovery.fault import ErrorClass
from ttrpg_mcp.rules.dice import parse
from ttrpg_mcp.rules.dice.errors import ChanceExhausted, DiceError, FaceImpossible
from ttrpg_mcp.rules.errors import RuleError
from ttrpg_mcp.tools.errors import ToolRefusal

# Bases that nobody raises, the answer that is no failure, and classes that only tests or the start can meet.
NOT_IN_THE_MATRIX = {
    AlreadyAnswered,
    ChanceExhausted,
    DiceError,
    FaceImpossible,
    PlayError,
    RecoveryError,
    RuleError,
    StoreError,
    ToolRefusal,
}
LAYERS = ("ttrpg_mcp.play", "ttrpg_mcp.recovery", "ttrpg_mcp.rules", "ttrpg_mcp.tools")


def classes_of_the_project() -> Iterator[type[BaseException]]:
    for info in pkgutil.walk_packages(ttrpg_mcp.__path__, "ttrpg_mcp."):
        if not info.name.startswith(LAYERS) or info.name.endswith(".testing"):
            continue
        for entry in vars(importlib.import_module(info.name)).values():
            if inspect.isclass(entry) and issubclass(entry, BaseException) and entry.__module__ == info.name:
                yield entry


def test_every_error_class_of_the_project_is_listed_once() -> None:
    """R39."""
    assert set(classes_of_the_project()) - NOT_IN_THE_MATRIX == set(faults.CLASS_CODES)


def test_every_code_has_a_row_and_every_row_a_class() -> None:
    """R39."""
    assert set(faults.CLASS_CODES.values()) | {"INTERNAL"} == set(faults.ERROR_RECOVERY_STRATEGIES)


def test_every_row_that_is_no_dice_refusal_has_its_sentence() -> None:
    """R76."""
    rows = {code for code in faults.ERROR_RECOVERY_STRATEGIES if not code.startswith("DICE_")}

    assert rows == set(faults.SENTENCES)


def test_a_subclass_does_not_fall_through() -> None:
    class StillBusy(StoreBusy):
        pass

    assert "BUSY" == faults.code_of(StillBusy("server"))


def test_an_unknown_class_is_internal_and_says_nothing_of_its_text() -> None:
    """R02."""
    told = faults.envelope(KeyError("/secret/path"), incident="E-7K2F")

    assert ("INTERNAL", "E-7K2F", None) == (told.code, told.incident, told.state_changed)
    assert "secret" not in str(told.to_result().model_dump())
    assert "E-7K2F" in told.advice


def test_a_group_of_one_and_the_sdks_wrappers_are_taken_off() -> None:
    wrapped = RuntimeError("Error executing tool x")
    wrapped.__cause__ = ExceptionGroup("tasks", [StoreFull("server")])

    assert isinstance(faults.root_cause(wrapped), StoreFull)


def test_only_a_caller_error_is_the_callers() -> None:
    kinds = [
        faults.classify(error) for error in (NotFound("campaign", "x"), StoreBusy("c"), StoreFull("c"), KeyError())
    ]

    assert [ErrorClass.CALLER, ErrorClass.TRANSIENT, ErrorClass.PERSISTENT, ErrorClass.PERSISTENT] == kinds


def test_an_unclear_commit_says_how_to_find_out_and_in_which_campaign() -> None:
    told = faults.envelope(OutcomeUnknown("c"), campaign="Night harbour", request_key="k1")

    assert (None, True, "k1") == (told.state_changed, told.retryable, told.request_key)
    assert 'campaign="Night harbour"' in told.advice


def test_the_seconds_to_wait_come_from_the_error() -> None:
    assert 2.5 == faults.envelope(BulkheadFull("c", 2.5)).retry_after_s


def test_a_dice_refusal_shows_the_place_with_a_caret() -> None:
    with pytest.raises(DiceError) as caught:
        parse("4d6kx3")

    told = faults.envelope(caught.value)

    assert ("DICE_SYNTAX", "rules", "low", False, 4) == (
        told.code, told.category, told.severity, told.retryable, told.fields[0]["position"],
    )  # fmt: skip
    assert told.to_result().content[0].text.splitlines()[-1].index("^") == 4  # type: ignore[union-attr]


def test_a_taken_name_suggests_a_free_one() -> None:
    assert ["Sea 2"] == list(faults.envelope(NameTaken("campaign", "Sea", "Sea 2")).suggestions)


def test_our_own_deadline_is_safe_to_repeat() -> None:
    told = faults.envelope(DeadlineExceeded("total", 4.5))

    assert ("MCP_TIMEOUT", True, False) == (told.code, told.retryable, told.state_changed)
