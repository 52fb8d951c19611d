"""Contact sheets: every film at its place, playing together, and nothing else accepted."""

import numpy as np
import pytest

from sciworld.errors import SettingsError
from sciworld.plots.sheets import contact_sheet
from sciworld.plots.thumbnails import data_uri

FILMS = {f"film <{k}>": np.random.default_rng(k).integers(0, 256, (4, 5, 7, 3), np.uint8) for k in range(5)}


def test_films_lie_in_rows_and_play_together():
    figure = contact_sheet(FILMS, across=3, title="all", step=0.05)
    assert [trace.source for trace in figure.data] == [data_uri(frames[0]) for frames in FILMS.values()]
    assert [a.text for a in figure.layout.annotations] == [f"film &lt;{k}&gt;" for k in range(5)]
    assert len(figure.frames) == 4
    for t, frame in enumerate(figure.frames):
        assert [trace.source for trace in frame.data] == [data_uri(frames[t]) for frames in FILMS.values()]
    assert figure.layout.sliders[0].steps[3].label == "0.15 s"
    columns = {trace.xaxis for trace in figure.data}
    assert len(columns) == 5


def test_single_pictures_have_no_buttons():
    figure = contact_sheet({name: frames[:1] for name, frames in FILMS.items()})
    assert not figure.frames and not figure.layout.updatemenus


def test_large_films_are_made_smaller():
    large = {"one": np.zeros((1, 700, 900, 3), np.uint8)}
    assert len(contact_sheet(large).data[0].source) < 5000


@pytest.mark.parametrize(
    ("films", "across"),
    [({}, 3), ({"a": np.zeros((2, 5, 7), np.uint8)}, 3), ({"a": np.zeros((2, 5, 7, 3))}, 3), (FILMS, 0),
     ({**FILMS, "b": np.zeros((3, 5, 7, 3), np.uint8)}, 3)],
)  # fmt: skip
def test_odd_films_are_refused(films, across):
    with pytest.raises(SettingsError, match="contact sheet"):
        contact_sheet(films, across)
