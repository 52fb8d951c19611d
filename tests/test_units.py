"""Units: one scale for all names of a unit, conversion there and back, and what is no unit."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciworld.errors import SettingsError
from sciworld.units import LENGTHS, TIMES, canonical, convert, parse_length


@pytest.mark.parametrize("table", [LENGTHS, TIMES])
def test_one_name_stands_for_all_names_of_a_unit(table: dict[str, float]) -> None:
    for one, two in itertools.combinations(table, 2):
        assert (table[one] == table[two]) == (canonical(one) == canonical(two))
        assert canonical(one) in table


@pytest.mark.parametrize(
    ("name", "known"),
    [("Å", "A"), ("\u212b", "A"), ("µm", "um"), ("μm", "um"), ("\\u00B5m", "um"), ("minutes", "min"), ("px", "pixel"),
     ("furlong", "furlong"), ("S", "S"), ("counts", "counts")],
)  # fmt: skip
def test_the_names_that_units_have(name: str, known: str) -> None:
    assert canonical(name) == known


@pytest.mark.parametrize(
    ("units", "to", "factor"),
    [("nm", "A", 10), ("pm", "A", 0.01), ("m", "mm", 1e3), ("A", "Å", 1), ("ms", "s", 1e-3), ("d", "h", 24)],
)
def test_conversion(units: str, to: str, factor: float) -> None:
    assert convert(1.0, units, to) == pytest.approx(factor, rel=1e-15)
    np.testing.assert_allclose(convert(np.arange(7.0), units, to), factor * np.arange(7), rtol=1e-15)


@given(st.floats(-1e9, 1e9), st.sampled_from([(a, b) for t in (LENGTHS, TIMES) for a in t for b in t]))
def test_conversion_comes_back(value: float, pair: tuple[str, str]) -> None:
    assert convert(convert(value, *pair), *pair[::-1]) == pytest.approx(value, rel=1e-14)


@pytest.mark.parametrize(("units", "to"), [("m", "s"), ("V", "V"), ("A", "pixel"), ("S", "s")])
def test_units_that_are_not_alike_are_not_converted(units: str, to: str) -> None:
    with pytest.raises(SettingsError, match=f"{units} cannot be converted to {to}"):
        convert(1.0, units, to)


def test_lengths_are_read_from_text() -> None:
    assert (parse_length("0.08"), parse_length("0.08:A"), parse_length("8:pm")) == (0.08, 0.08, 0.08)
    for text in ("", "A", "0", "nan:A", "inf", "1:s", "1:V", "8pm"):
        with pytest.raises(SettingsError, match=f"length '{text}': write a number and its units"):
            parse_length(text)
