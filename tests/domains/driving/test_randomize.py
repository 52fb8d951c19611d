"""Variants of drives: what must stay stays to the bit, what is asked for is seen, what falls moves with the scene."""

import numpy as np
import pytest

from sciworld import recording
from sciworld.controls import Column, ColumnTable, colours
from sciworld.domains.driving import exact
from sciworld.domains.driving.randomize import Randomizing, at_dial, randomize
from sciworld.domains.driving.road.conditions import RANGES, RoadConditions, preset
from sciworld.domains.driving.road.generate import generate
from sciworld.domains.driving.road.truth import by_products
from sciworld.domains.driving.scene import Optics
from sciworld.domains.driving.variants import randomize_store
from sciworld.domains.driving.weathers import Weathers
from sciworld.errors import RecordingError, SettingsError, StoreError
from sciworld.store import Store

SMALL = {"rows": 32, "columns": 48, "road_length": 600, "vehicles": 2}
VIDEO = Randomizing("video", "cloudy_noon", Optics(horizon=13.0))


@pytest.fixture(scope="module")
def drives(tmp_path_factory):
    return generate(tmp_path_factory.mktemp("drives") / "store", 11, 3, 16, conditions="cloudy_noon", **SMALL)


def film(frames, **changes):
    """A recording of frames that no simulator drew."""
    t = len(frames)
    given = {
        "channels": colours(3), "session": "film", "source": "film.mp4", "licence": "", "citation": "",
        "history": "filmed", "controls": np.vstack([np.ones((t - 1, 1)), [[np.nan]]]),
        "control_table": ColumnTable((Column("steering", "1"),)),
    }  # fmt: skip
    return recording.make(frames, 0.05 * np.arange(t), **{**given, **changes})


@pytest.fixture(scope="module")
def filmed(drives):
    return film(drives[0]["frames"].values)


def frames_of(ds, conditions, seed=0, settings=VIDEO, **more):
    (one,) = randomize(ds, 1, [conditions], seed, settings, **more)
    return one["frames"].values.astype(float)


@pytest.mark.parametrize("which", ["drawn", "filmed"])
def test_all_but_the_frames_stays(drives, filmed, which):
    source, settings = (drives[0], None) if which == "drawn" else (filmed, VIDEO)
    before = source.copy(deep=True)
    for number, one in enumerate(randomize(source, 3, "rain_night,fog_day,sunset", 5, settings)):
        recording.check(one)
        assert one["frames"].dtype == np.uint8 and one["frames"].attrs == source["frames"].attrs
        assert (one["frames"].values != source["frames"].values).mean() > 0.3
        for name in source.variables:
            if name not in ("frames", "covariates"):
                assert one[name].identical(source[name]), name
        assert one.attrs["session"] == source.attrs["session"] and one.attrs["source"] == source.attrs["source"]
        facts = dict(zip(recording.covariate_table(one).names, one["covariates"].values, strict=True))
        assert facts["variant"] == number and facts["variant_of"] == -1
        assert set(RANGES) <= set(facts)
        assert one.attrs["history"].startswith(source.attrs["history"] + "; variant")
    assert source.identical(before)


def test_the_simulator_draws_its_own_drives_anew(drives):
    for ds in drives:
        assert (frames_of(ds, "cloudy_noon", settings=None) == ds["frames"].values).all()
        simulator, states = exact.states_of(ds)
        night = exact.drawn(simulator, states, preset("clear_night"), 0)
        assert night.mean() < 0.5 * ds["frames"].values.mean()
        here, there = states[5], states[5].under("clear_night")
        for name in ("mask", "depth", "pose"):
            np.testing.assert_array_equal(
                getattr(by_products(simulator, here), name), getattr(by_products(simulator, there), name)
            )


def test_a_drive_that_is_another_now_is_refused(drives):
    with pytest.raises(RecordingError, match="is not the drive that its seed makes now"):
        frames_of(drives[0].assign_attrs(session="road-any-12-00000"), "fog_day", settings=None)
    with pytest.raises(RecordingError, match="does not say which drive"):
        frames_of(drives[0].assign_attrs(session="mine"), "fog_day", settings=None)
    with pytest.raises(RecordingError, match="does not say which drive"):
        frames_of(drives[0].drop_vars("states"), "fog_day", settings=None)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_under_their_own_conditions_frames_stay_to_the_bit(filmed, dtype):
    top = {np.uint8: 255, np.uint16: 65535, np.float32: 1.0}[dtype]
    frames = (filmed["frames"].values.astype(np.float64) / 255 * top).astype(dtype)
    table = ColumnTable(tuple(Column(name, "counts", 0.0, float(top)) for name in ("red", "green", "blue")))
    same, dark = (frames_of(film(frames, channels=table), name) for name in ("cloudy_noon", "clear_night"))
    np.testing.assert_array_equal(same, frames)
    # Other depths of colour get the same weather.
    plain = frames_of(filmed, "clear_night")
    assert np.abs(dark / top * 255 - plain).max() < 1.5
    assert plain.mean() < 0.4 * filmed["frames"].values.mean()


def test_the_same_number_and_seed_give_the_same_variant(filmed):
    few, many = (list(randomize(filmed, n, "snow_day,rain_noon,fog_density=0..60", 3, VIDEO)) for n in (2, 5))
    for one, other in zip(few, many, strict=False):
        assert one.identical(other)
    (third,) = randomize(filmed, 5, "snow_day,rain_noon,fog_density=0..60", 3, VIDEO, only=[2])
    assert third.identical(many[2])
    other = next(randomize(filmed, 1, "snow_day,rain_noon,fog_density=0..60", 4, VIDEO))
    assert (other["frames"].values != few[0]["frames"].values).any()


@pytest.mark.parametrize(
    ("name", "values", "measure"),
    [
        ("fog_density", (0, 10, 30, 60, 90), lambda f: -f[:, 8:20].std(axis=(1, 2)).mean()),
        ("dust_storm", (0, 40, 60, 90), lambda f: (f[..., 0] - f[..., 2]).mean()),
        ("snow_deposits", (0, 30, 60, 90), lambda f: f[:, 20:].mean()),
        ("wetness", (0, 30, 60, 100), lambda f: -f[:, 29:].mean()),
        ("sun_altitude_angle", (-30, -3, 5, 40), lambda f: f.mean()),
    ],
)
def test_more_of_it_shows_more(filmed, name, values, measure):
    shown = [measure(frames_of(filmed, one)) for one in at_dial("cloudy_noon", name, values)]
    assert (np.diff(shown) > 0).all()


@pytest.mark.parametrize("name", ["precipitation", "snow"])
def test_what_falls_is_the_same_from_frame_to_frame_and_moves(name):
    """In a picture that never changes, of a car that stands."""
    still = film(np.full((12, 40, 60, 3), 90, np.uint8))
    settings = Randomizing("video", "cloudy_noon", Optics(horizon=16.0, speed=0.0, sky=False))
    base = RoadConditions(cloudiness=95.0, wind_intensity=0.0)
    settings = Randomizing("video", base, settings.optics)
    layer = np.abs(frames_of(still, base.replace(**{name: 80.0}), settings=settings) - 90).mean(axis=-1)
    layer -= np.median(layer, axis=0)
    assert layer.max() > 10
    energy = (layer**2).sum(axis=(1, 2))
    assert energy.std() < 0.5 * energy.mean()  # as much in every frame
    # Not frozen: what is at a place is elsewhere in the next frame.
    stays = np.mean([np.corrcoef(layer[k].ravel(), layer[k + 1].ravel())[0, 1] for k in range(11)])
    assert stays < 0.5


def test_given_depth_tells_fog_where_to_thicken(filmed):
    near_left = np.full((32, 48), 200.0)
    near_left[:, :24] = 3.0
    foggy = frames_of(filmed, "fog_day", depth=near_left)
    left, right = (np.abs(np.diff(foggy[..., part, :], axis=1)).mean() for part in (slice(0, 22), slice(26, 48)))
    assert left > 4 * right
    with pytest.raises(RecordingError, match="depth is"):
        frames_of(filmed, "fog_day", depth=near_left.T)


@pytest.mark.parametrize(
    ("conditions", "why"),
    [
        ("fog", "unknown"),
        ([RoadConditions(), 3, 3], "give RoadConditions"),
        ([RoadConditions()] * 2, "2 conditions for 3 variants"),
        ([RoadConditions(precipitation=20, snow=20)] * 3, "contradict"),
    ],
)
def test_odd_conditions_are_refused_before_anything_is_drawn(filmed, conditions, why):
    with pytest.raises(SettingsError, match=why):
        randomize(filmed, 3, conditions, 0, VIDEO)


def test_intensities_outside_their_range_are_refused():
    with pytest.raises(SettingsError, match="fog_density"):
        RoadConditions(fog_density=101)
    with pytest.raises(SettingsError, match="precipitation"):
        at_dial("cloudy_noon", "precipitation", [0, -1])


def test_frames_that_are_no_video_are_refused(filmed):
    frames = filmed["frames"].values
    with pytest.raises(RecordingError, match="three colours"):
        frames_of(film(frames[..., :1], channels=colours(1)), "fog_day")
    with pytest.raises(RecordingError, match="does not say when frames were taken"):
        frames_of(film(frames, counted=True), "fog_day")
    with pytest.raises(RecordingError, match="what white is"):
        table = ColumnTable(tuple(Column(name, "1") for name in ("red", "green", "blue")))
        frames_of(film(frames.astype(np.float32), channels=table), "fog_day")
    table = ColumnTable(tuple(Column(name, "1", 0.0, 1.0) for name in ("red", "green", "blue")))
    with pytest.raises(RecordingError, match="not finite"):
        frames_of(film(np.where(frames > 100, np.nan, frames / 255).astype(np.float32), channels=table), "fog_day")
    with pytest.raises(RecordingError, match="more cameras, frames_rear"):
        names = {"y": "y_rear", "x": "x_rear", "channel": "channel_rear"}
        frames_of(filmed.assign(frames_rear=filmed["frames"].rename(names), view_rear=filmed["view"]), "fog_day")
    with pytest.raises(RecordingError, match="no simulator of a road drew it"):
        frames_of(filmed, "fog_day", settings=Randomizing("exact"))
    with pytest.raises(SettingsError, match="method"):
        Randomizing("learnt")


def variants(store):
    facts = store.facts()
    return {
        (int(of), int(number)): store[i]
        for i, (of, number) in enumerate(zip(facts["variant_of"], facts["variant"], strict=True))
    }


def test_a_store_of_variants_goes_on_where_it_was_left(drives, tmp_path, monkeypatch):
    from sciworld.domains.driving import variants as module

    whole = randomize_store(drives, tmp_path / "whole", 3, "any", 7)
    assert len(whole) == 9 and set(whole.sessions()) == set(drives.sessions())
    monkeypatch.setattr(module, "PART_BYTES", 1)  # a variant a part
    seen = []

    def stop(done, total):
        seen.append((done, total))
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        randomize_store(drives, tmp_path / "left", 3, "any", 7, progress=stop)
    assert seen[-1] == (4, 9) and len(Store.open(tmp_path / "left")) == 4
    gone_on = variants(randomize_store(drives, tmp_path / "left", 3, "any", 7))
    for key, one in variants(whole).items():
        assert gone_on[key].identical(one)


def test_what_a_store_holds_is_not_mixed_with_others(drives, tmp_path):
    randomize_store(drives, tmp_path / "out", 1, "fog_day", 7)
    for changed in ({"seed": 8}, {"conditions": "snow_day"}):
        with pytest.raises(StoreError, match="another seed or other conditions"):
            randomize_store(drives, tmp_path / "out", 1, **{"conditions": "fog_day", "seed": 7, **changed})
    with pytest.raises(StoreError, match="other recordings than variants"):
        randomize_store(drives, drives.path.parent / "other", 1) if Store.create(drives.path.parent / "other").append(
            [drives[0]]
        ) else None
    with pytest.raises(StoreError, match="among their sources"):
        randomize_store(drives, drives.path, 1)
    with pytest.raises(StoreError, match="holds nothing"):
        randomize_store(Store.create(tmp_path / "none"), tmp_path / "more", 1)
    with pytest.raises(SettingsError, match="contradict"):
        randomize_store(drives, tmp_path / "more", 1, "rain_noon,snow=20..80")
    assert not (tmp_path / "more").exists()


def test_words_or_a_curriculum_say_what_is_drawn(filmed):
    (one,) = randomize(filmed, 1, Weathers(("clear_noon",), {"fog_density": (40.0, 41.0)}), 0, VIDEO)
    facts = dict(zip(recording.covariate_table(one).names, one["covariates"].values, strict=True))
    assert 40 <= facts["fog_density"] <= 41


def test_a_store_goes_on_in_the_way_that_it_was_begun(drives, tmp_path):
    randomize_store(drives, tmp_path / "out", 2, "fog_day", 0)
    randomize_store(drives, tmp_path / "out", 2, "fog_day", 0)
    with pytest.raises(StoreError, match="drawn in another way"):
        randomize_store(drives, tmp_path / "out", 2, "fog_day", 0, VIDEO)


def test_a_store_of_variants_is_of_one_store(drives, tmp_path):
    randomize_store(drives, tmp_path / "out", 1, "fog_day", 0)
    other = generate(tmp_path / "other", 12, 3, 4, conditions="cloudy_noon", **SMALL)
    with pytest.raises(StoreError, match="other recordings than those of"):
        randomize_store(other, tmp_path / "out", 1, "fog_day", 0)
    alone = Store.create(tmp_path / "alone")
    alone.append(list(randomize(drives[0], 1, "fog_day")))
    with pytest.raises(StoreError, match="other recordings than those of"):
        randomize_store(drives, tmp_path / "alone", 1, "fog_day", 0)


def test_horizons_out_of_sight_and_unknown_dials_are_refused(filmed):
    with pytest.raises(SettingsError, match="horizon is row 200"):
        randomize(filmed, 1, "fog_day", 0, Randomizing("video", None, Optics(horizon=200.0)))
    with pytest.raises(SettingsError, match="unknown 'fog'"):
        at_dial("cloudy_noon", "fog", [0, 20])
