from importlib.metadata import EntryPoint
from typing import ClassVar, Literal

import pytest

from operators.base import Key, Operator
from pipelines.errors import PipelineError
from pipelines.registry import GROUP, operators
from tests.pipelines.toy_operators import ToyCells, ToyFacts

HERE = "tests.pipelines.toy_operators"


def _plugin(name: str, value: str) -> EntryPoint:
    return EntryPoint(name=name, value=value, group=GROUP)


def _error(built_in: object = (), plugins: object = ()) -> str:
    with pytest.raises(PipelineError) as caught:
        operators(built_in, plugins)  # type: ignore[arg-type]
    return str(caught.value)


def test_built_in_paths_classes_and_plugins_are_found_by_name() -> None:
    found = operators([f"{HERE}:ToyCells"], [_plugin("facts", f"{HERE}:ToyFacts")])
    assert dict(found) == {"toy_cells": ToyCells, "toy_facts": ToyFacts}


def test_a_plugin_that_cannot_be_imported_is_named_with_its_reason() -> None:
    assert _error([], [_plugin("mine", "no_such_package.module:Thing")]) == (
        "plugin 'mine' (no_such_package.module:Thing) of an unknown package: cannot be imported: "
        "ModuleNotFoundError: No module named 'no_such_package'. "
        "Repair, upgrade or uninstall its package."
    )


def test_a_plugin_attribute_that_is_missing_is_an_error() -> None:
    assert "cannot be imported: AttributeError" in _error([], [_plugin("mine", f"{HERE}:Nope")])


def test_a_built_in_that_cannot_be_imported_is_named() -> None:
    assert _error(["operators.nowhere:X"]).startswith(
        "built-in operator operators.nowhere:X: cannot be imported: ModuleNotFoundError"
    )


def test_two_plugins_of_one_name_clash_whatever_their_order() -> None:
    plugins = [_plugin("b", f"{HERE}:ToyCells"), _plugin("a", f"{HERE}:ToyCells")]
    expected = (
        f"plugin 'b' ({HERE}:ToyCells) of an unknown package: the operator name 'toy_cells' is "
        f"already taken by plugin 'a' ({HERE}:ToyCells) of an unknown package. "
        "Rename one of them, or uninstall its package."
    )
    assert _error([], plugins) == _error([], plugins[::-1]) == expected


def test_a_plugin_cannot_take_a_built_in_name() -> None:
    message = _error([ToyCells], [_plugin("mine", f"{HERE}:ToyCells")])
    assert "'toy_cells' is already taken by built-in operator" in message


def test_a_plugin_that_is_no_operator_is_refused() -> None:
    assert "is not a subclass of operators.base.Operator" in _error(
        [], [_plugin("mine", "json:dumps")]
    )


def test_declaration_faults_are_listed_together() -> None:
    class Faulty(Operator, frozen=True):
        operator: Literal["Bad-Name"] = "Bad-Name"
        id: int = 0
        READS: ClassVar[tuple[str, ...]] = ("factz", "facts.colour")
        WRITES: ClassVar[tuple[str, ...]] = ("runs",)

    message = _error([Faulty])
    assert "needs `operator: Literal['a_name'] = 'a_name'`" in message
    assert "needs KEY, one of Key.TEXT, Key.SESSION, Key.CONVERSATION" in message
    assert "the parameter name 'id' is reserved" in message
    assert "'factz' is not a table or column of schemas.tables" in message
    assert "'facts.colour' is not a table or column" in message
    assert "must not write the bookkeeping table 'runs'" in message


def test_an_operator_must_write_something() -> None:
    class Idle(Operator, frozen=True):
        operator: Literal["idle"] = "idle"
        KEY: ClassVar[Key] = Key.TEXT

    assert "needs WRITES" in _error([Idle])
