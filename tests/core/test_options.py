"""TOML values become options exactly, or are refused by name."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

import attrs
import pytest
from attrs import frozen
from hypothesis import given, strategies as st

from pinn.core.options import (
    Faults,
    above,
    at_least,
    between,
    choice,
    located,
    option,
    refusal,
    structure,
    unstructure,
)


@frozen
class Sample:
    count: int = option(3, "", at_least(0))
    size: float = option(0.5, "", above(0))
    name: str = option("a", "")
    on: bool = option(False, "")
    names: list[str] = option(["x"], "")
    pair: tuple[float, ...] = option((1.0, 2.0), "")
    shares: dict[str, float] = option({}, "")
    either: int | dict[str, int] = option(5, "")
    perhaps: float | None = option(None, "")
    ceiling: float = option(math.inf, "")
    mode: Literal["fast", "slow"] = option("fast", "")


@frozen
class Required:
    steps: int = option(help="", validator=at_least(1))
    lr: float = option(1.0, "", between(0, 2))
    kind: str = option("a", "", choice("a", "b"))


@frozen
class Reserved:
    class_: str = option(help="", validator=choice("a", "b"))
    in_: float = option(0.5, "")


@frozen
class Ordered:
    low: float = option(0.0, "")
    high: float = option(1.0, "")
    derived: float = attrs.field(init=False, default=0.0)

    def __attrs_post_init__(self) -> None:
        if self.low >= self.high:
            raise ValueError("low must be below high")


@frozen
class Inner:
    depth: int = option(1, "", at_least(1))


@frozen
class Outer:
    inner: Inner = option(Inner(), "")


def faults(table: dict[str, Any], cls: type[Any] = Sample) -> dict[str, str]:
    with pytest.raises(Faults) as caught:
        structure(table, cls)
    return {path: refusal(error) or str(error) for path, error in caught.value.faults}


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("count", 3.0, "a whole number"),
        ("count", 3.7, "a whole number"),
        ("count", True, "a whole number"),
        ("count", "3", "a whole number"),
        ("count", 2**53 + 1, "a whole number up to 2^53"),
        ("count", -1, "at least 0"),
        ("size", True, "a number"),
        ("size", "1e-3", "a number"),
        ("size", math.nan, "a finite number"),
        ("size", math.inf, "a finite number"),
        ("size", 0, "greater than 0"),
        ("name", 3, "a string"),
        ("name", ["a"], "a string"),
        ("on", 1, "true or false"),
        ("on", "false", "true or false"),
        ("names", "x", "a list"),
        ("names", {"x": 1}, "a list"),
        ("names", [1], "a string"),
        ("pair", "12", "a list"),
        ("pair", [1, "2"], "a number"),
        ("shares", [1], "a table"),
        ("shares", {"u": "1"}, "u: expected a number"),
        ("either", 1.5, "a whole number or a table"),
        ("either", "x", "a whole number or a table"),
        ("either", {"u": 1.5}, "u: expected a whole number"),
        ("perhaps", "x", "a number"),
        ("mode", "medium", "medium"),
    ],
)
def test_a_value_of_another_type_is_refused(key: str, value: Any, expected: str) -> None:
    found = faults({key: value})
    assert list(found) == [key]
    assert expected in found[key]


def test_what_was_found_is_written_as_in_toml() -> None:
    assert faults({"count": True})["count"].endswith("found true")
    assert faults({"name": 3})["name"].endswith("found 3")
    assert faults({"count": "3"})["count"].endswith("found '3'")


def test_every_fault_is_reported_with_its_key() -> None:
    found = faults({"lr": 3, "kind": "c", "stepz": 1}, Required)
    assert found["lr"] == "expected between 0 and 2, found 3.0"
    assert found["kind"] == "expected one of a, b, found 'c'"
    assert found["steps"] == "is missing"
    assert "did you mean 'steps'?" in found["stepz"]


def test_a_fault_of_several_options_together_has_no_key() -> None:
    assert faults({"low": 2}, Ordered) == {"": "low must be below high"}


def test_a_validator_that_looks_at_the_whole_instance() -> None:
    @frozen
    class Pair:
        low: int = 0
        high: int = attrs.field(default=1)

        @high.validator
        def _(self, _: Any, value: int) -> None:
            if value <= self.low:
                raise ValueError("high must be above low")

    assert structure({"low": 3, "high": 4}, Pair) == Pair(3, 4)
    assert faults({"low": 3, "high": 2}, Pair) == {"": "high must be above low"}


def test_faults_of_nested_classes_have_their_path() -> None:
    assert structure({"inner": {"depth": 3}}, Outer) == Outer(Inner(3))
    assert list(faults({"inner": {"depth": "3"}}, Outer)) == ["inner.depth"]
    assert "did you mean 'depth'?" in faults({"inner": {"dept": 3}}, Outer)["inner.dept"]


def test_a_whole_number_is_a_number() -> None:
    found = structure({"size": 2, "pair": [1, 2], "perhaps": 3}, Sample)
    assert (found.size, found.pair, found.perhaps) == (2.0, (1.0, 2.0), 3.0)
    assert isinstance(found.size, float)


def test_what_is_derived_is_no_option() -> None:
    assert "derived" not in unstructure(Ordered())
    assert "derived" in faults({"derived": 1.0}, Ordered)


def test_a_word_that_python_reserves_may_be_an_option() -> None:
    assert unstructure(Reserved("a")) == {"class": "a", "in": 0.5}
    assert structure({"class": "b", "in": 2.0}, Reserved) == Reserved("b", 2.0)
    assert faults({}, Reserved) == {"class": "is missing"}
    assert faults({"class": "c"}, Reserved) == {"class": "expected one of a, b, found 'c'"}
    assert "known are class, in" in faults({"class": "a", "class_": "a"}, Reserved)["class_"]


def test_defaults_survive_being_written_and_read() -> None:
    table = unstructure(Sample())
    assert table["ceiling"] == math.inf
    assert "perhaps" not in table
    assert structure(table, Sample) == Sample()


numbers = st.floats(allow_nan=False, allow_infinity=False)


@given(
    st.builds(
        Sample,
        count=st.integers(0, 2**53),
        size=numbers.filter(lambda v: v > 0),
        name=st.text(),
        on=st.booleans(),
        names=st.lists(st.text()),
        pair=st.lists(numbers).map(tuple),
        shares=st.dictionaries(st.text(), numbers),
        either=st.integers(-5, 5) | st.dictionaries(st.text(), st.integers(-5, 5)),
        perhaps=st.none() | numbers,
        ceiling=st.just(math.inf) | numbers,
        mode=st.sampled_from(["fast", "slow"]),
    )
)
def test_round_trip(sample: Sample) -> None:
    assert structure(unstructure(sample), Sample) == sample


values = st.recursive(
    st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([a.name for a in attrs.fields(Sample)] + ["other"]), values))
def test_any_table_is_taken_as_it_is_or_refused_by_key(table: dict[str, Any]) -> None:
    refused = refusals(table)
    assert refused is None or refused
    assert {path.split(".")[0] for path in refused or ()} <= table.keys()
    if refused is None:
        found = structure(table, Sample)
        for name, value in table.items():
            kept = getattr(found, name)
            assert (list(kept) if isinstance(kept, tuple) else kept) == value
            assert isinstance(kept, bool) == isinstance(value, bool)


def refusals(table: dict[str, Any]) -> list[str] | None:
    try:
        structure(table, Sample)
    except Faults as error:
        return [path for path, _ in error.faults]
    return None


@frozen
class Sources:
    """Files that parts read."""

    data: Path = option(Path("data.csv"), "")
    more: Path | None = option(None, "")
    title: str = option("data.csv", "")


def test_the_name_of_a_file_begins_in_a_folder_and_is_written_whole(tmp_path: Path) -> None:
    found = structure(located({"more": "sub/more.csv", "title": "t"}, Sources, tmp_path), Sources)
    assert found == Sources(tmp_path / "data.csv", tmp_path / "sub/more.csv", "t")
    table = unstructure(found)
    assert table["data"] == str(tmp_path / "data.csv")
    elsewhere = located(table, Sources, Path("/elsewhere"))
    assert structure(elsewhere, Sources) == found
    assert located({"data": "~/a.csv"}, Sources, tmp_path)["data"] == str(Path.home() / "a.csv")
    assert structure(located({}, Sources, tmp_path), Sources).more is None


@pytest.mark.parametrize("value", [3, "", " ", True, ["a.csv"]])
def test_what_names_no_file_is_refused(value: Any, tmp_path: Path) -> None:
    with pytest.raises(Faults, match="data: expected the name of a file"):
        structure(located({"data": value}, Sources, tmp_path), Sources)
