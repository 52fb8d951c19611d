"""Videos for eyes: they play, last as long as the recording, and say what they are not."""

import av
import numpy as np
import pytest
import xarray as xr

from sciworld import recording
from sciworld.controls import Column, ColumnTable
from sciworld.errors import SettingsError
from sciworld.export.export import ExportSettings, export
from sciworld.export.mp4 import _bytes

T, Y, X = 11, 25, 37


def film(frames=None, dt=0.1, time=None, session="s|0/ä", z=None) -> xr.Dataset:
    if frames is None:
        ramp = np.linspace(-50.0, 50.0, X)[None, None, :, None] * np.ones((T, Y, 1, 1))
        frames = (ramp + 10 * np.arange(T)[:, None, None, None]).astype(np.float32)
    return recording.make(
        frames, dt * np.arange(len(frames)) if time is None else time,
        channels=ColumnTable(tuple(Column(f"c{k}", "1") for k in range(frames.shape[-1]))),
        session=session, source="toy", licence="", citation="", history="h",
    )  # fmt: skip


def decoded(path) -> tuple[np.ndarray, dict[str, str], float, str]:
    """Frames (time, y, x, 3), metadata, frames a second and codec of a video."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(stream)])
        return frames, dict(container.metadata), float(stream.average_rate), stream.codec_context.name


def test_a_film_plays_at_its_rate_and_says_that_it_is_no_data(tmp_path):
    told = []
    made = export(film(), tmp_path / "a.mp4", "mp4", progress=lambda *both: told.append(both))
    frames, metadata, rate, codec = decoded(made.path)
    assert frames.shape == (T, Y + 1, X + 1, 3) and rate == pytest.approx(10) and codec == "h264"
    assert told[-1] == (T, T)
    text = "\n".join(made.notes)
    assert (
        "brightness scaled: " in text and "(percentiles 1 and 99)" in text and "padded from 25 x 37 to 26 x 38" in text
    )
    assert "for eyes" in metadata["title"] and metadata["comment"] == "; ".join(made.notes)
    grey = frames[..., 0].astype(float)
    assert np.ptp(frames.astype(int), axis=-1).max() < 6  # grey
    np.testing.assert_allclose(grey[0, 3, [0, -1]], np.array([0, 60 + 40]) / 196 * 255, atol=25)
    assert (np.diff(grey.mean(axis=(1, 2))) > 5).all()  # it brightens as the recording does
    # The edge is repeated, not black.
    np.testing.assert_allclose(grey[:, :, -1], grey[:, :, -2], atol=12)


def test_colours_stay_as_they_are(tmp_path):
    frames = np.zeros((T, Y + 1, X + 1, 3), np.uint8)
    frames[..., 0], frames[:, : Y // 2, :, 2] = 200, 90
    made = export(film(frames), tmp_path / "a.mp4", "mp4")
    got, *_ = decoded(made.path)
    assert got.shape == frames.shape and "brightness scaled" not in "".join(made.notes)
    np.testing.assert_allclose(got[:, 2:8, 2:-2].astype(int), frames[:, 2:8, 2:-2], atol=12)
    grey = export(film(frames), tmp_path / "b.mp4", "mp4", ExportSettings(channel=2))
    assert "channel 2 of 3, in grey" in grey.notes
    with pytest.raises(SettingsError, match="channel is 3; there are 3"):
        export(film(frames), tmp_path / "c.mp4", "mp4", ExportSettings(channel=3))


@pytest.mark.parametrize(
    ("dt", "rate", "shown", "note"),
    [
        (0.1, None, 10.0, ""),
        (1e-6, None, 25.0, "a second is 2.5e-05 s of it"),
        (60.0, None, 25.0, "a second is 1500 s of it"),
        (0.1, 20.0, 20.0, "shown at 20 frames a second, recorded at 10: a second is 2 s of it"),
        (1 / 29.97, None, 29.97, ""),
    ],
)
def test_the_rate_is_of_the_times_if_eyes_can_follow(tmp_path, dt, rate, shown, note):
    made = export(film(dt=dt), tmp_path / "a.mp4", "mp4", ExportSettings(rate=rate))
    assert decoded(made.path)[2] == pytest.approx(shown, rel=1e-4)
    assert (note in "".join(made.notes)) and (bool(note) == ("recorded at" in "".join(made.notes)))


def test_uneven_times_and_planes_are_noted(tmp_path):
    time = np.cumsum(np.random.default_rng(0).uniform(0.05, 0.15, T))
    made = export(
        film(np.random.default_rng(0).integers(0, 9, (T, 3, Y, X, 2)).astype("int32"), time=time),
        tmp_path / "a.mp4",
        "mp4",
    )
    text = "".join(made.notes)
    assert "times are uneven" in text and "plane 1 of 3 along z" in text and "channel 0 of 2, in grey" in text


@pytest.mark.parametrize("value", [np.nan, np.inf, 3.4e38, 0.0])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_any_values_make_a_film(tmp_path, value, dtype):
    frames = np.full((3, 5, 7, 1), value, dtype)
    frames[1, 2, 3] = -value
    frames = film(frames)
    assert decoded(export(frames, tmp_path / "a.mp4", "mp4").path)[0].shape == (3, 6, 8, 3)


def test_one_frame_of_one_pixel_is_a_film(tmp_path):
    made = export(film(np.ones((1, 1, 1, 1), np.uint16)), tmp_path / "a.mp4", "mp4")
    assert decoded(made.path)[0].shape == (1, 2, 2, 3)


def test_brightness_is_linear_between_its_ends():
    values = np.array([-1.0, 0.0, 1.0, 2.0, 4.0, 9.0, np.nan, np.inf, -np.inf])
    np.testing.assert_array_equal(_bytes(values, 0.0, 4.0), [0, 0, 64, 128, 255, 255, 0, 255, 0])
    np.testing.assert_array_equal(_bytes(np.array([-1.7e308, 0.0, 1.7e308]), -1.7e308, 1.7e308), [0, 128, 255])


def test_several_recordings_are_files_by_session(tmp_path):
    names = ["a|b/c", "A_b_c", "../..", "é" * 300, "", "."]
    recordings = [film(session=name or "x") for name in names]
    made = export(recordings, tmp_path / "many", "mp4")
    found = sorted(path.name for path in made.path.iterdir())
    assert found == sorted(["a_b_c.mp4", "A_b_c-2.mp4", "recording.mp4", "é" * 50 + ".mp4", "x.mp4", "recording-2.mp4"])
    assert all(decoded(path)[0].shape[0] == T for path in made.path.iterdir())
    with pytest.raises(SettingsError, match="one file for 6 recordings"):
        export(recordings, tmp_path / "one.mp4", "mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["many"]
