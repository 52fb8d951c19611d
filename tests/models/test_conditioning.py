"""Controls as maps, features and embeddings: drawn where the view says, whatever the view."""

import dataclasses

import numpy as np
import pytest
import torch
import toy

from sciworld.controls import Column, ColumnTable
from sciworld.models.base import Signature
from sciworld.models.conditioning import MAP_WIDTHS, Conditioning
from sciworld.training.symmetries import SYMMETRIES
from sciworld.windows import Batch

CONTROLS = ColumnTable(
    (
        Column("power", "W", 0.0, 10.0),
        Column("beam_y", "A", -9, 9, group="beam", axis="y", frame="lab"),
        Column("beam_x", "A", -9, 9, group="beam", axis="x", frame="lab"),
        Column("mode", "1", kind="categorical", levels=("off", "blow", "pull")),
        Column("spot_x", "1", 0, 12, group="spot", axis="x", frame="pixel"),
        Column("spot_y", "1", 0, 12, group="spot", axis="y", frame="pixel"),
    )
)
VIEWS = {
    "straight": [0.5, 0.0, -2.0, 0.0, 0.5, -1.0],
    "oblong": [0.5, 0.0, -2.0, 0.0, 0.8, -1.0],
    "sheared": [0.5, 0.15, 3.0, -0.05, 0.6, 1.0],
    "flipped": [-0.5, 0.0, 3.0, 0.0, 0.5, -1.0],
    "turned": [0.0, -0.5, 3.0, 0.5, 0.0, -1.0],
}


def signature(controls=CONTROLS, shape=(8, 12, 2)):
    n = len(controls)
    return Signature(
        shape, toy.CHANNELS, controls, ColumnTable(()), (0.0, 300.0), (1.0, 2.0), (0.0,) * n, (2.0,) * n, 0.5
    )


def conditioning(**changed):
    torch.manual_seed(0)
    return Conditioning(signature(**changed), 16)


def at(view, col, row, power=5.0, mode=1.0):
    """Controls (1, 6) with beam and spot at the pixel (col, row), seen through `view` (6,)."""
    x, y = view[0] * col + view[1] * row + view[2], view[3] * col + view[4] * row + view[5]
    return torch.tensor([[power, y, x, mode, col, row]], dtype=torch.float32)


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_a_position_is_drawn_where_the_view_says(view):
    maps = conditioning().draw(at(view, 9, 2), torch.tensor([view]))
    assert maps.shape == (1, 2 * len(MAP_WIDTHS), 8, 12)
    for one in maps[0]:
        assert divmod(int(one.argmax()), 12) == (2, 9)
        assert one.max() == pytest.approx(1.0)


def test_maps_are_round_in_the_laboratory():
    """Two pixels that are equally far in the laboratory are equally bright; the pitch is the unit of length."""
    view = VIEWS["oblong"]
    narrow, wide, spot_narrow, _ = conditioning().draw(at(view, 4, 3), torch.tensor([view]))[0]
    for width, one in zip(MAP_WIDTHS, (narrow, wide), strict=True):
        assert one[3, 5] == pytest.approx(np.exp(-0.5 / width**2)) and one[3, 5] == one[3, 3]
        assert one[4, 4] == pytest.approx(np.exp(-0.5 * 1.6**2 / width**2))
    assert spot_narrow[4, 4] == spot_narrow[3, 5] == pytest.approx(np.exp(-0.5 / MAP_WIDTHS[0] ** 2))


def test_positions_between_and_outside_pixels():
    view = VIEWS["straight"]
    maps = conditioning().draw(at(view, 4.25, 3), torch.tensor([view]))[0]
    assert maps[0, 3, 4:6].numpy() == pytest.approx(np.exp([-0.5 * 0.25**2, -0.5 * 0.75**2]))
    torch.testing.assert_close(maps[2], maps[0])  # in pixels as in the laboratory
    assert conditioning().draw(at(view, 100, 3), torch.tensor([view])).max() < 1e-6


@pytest.mark.parametrize("name", SYMMETRIES)
def test_maps_move_with_the_frames_under_symmetries(name):
    shape = (9, 9, 2) if name == "transpose" else (8, 12, 2)
    rng = np.random.default_rng(0)
    view = np.array([[VIEWS["sheared"], VIEWS["turned"]]]).transpose(1, 0, 2).repeat(2, axis=1)
    controls = np.concatenate([at(v[0], *rng.uniform(0, 7, 2)).numpy() for v in view])[:, None]
    nothing = np.zeros((2, 0))
    batch = Batch(np.zeros((2, 2, *shape)), controls, np.zeros((2, 2)), view, nothing, np.arange(2))
    moved = SYMMETRIES[name](batch, CONTROLS)
    model = conditioning(shape=shape)
    before, after = (
        model.draw(torch.from_numpy(np.asarray(b.controls[:, 0], np.float32)), torch.from_numpy(b.view[:, 0].copy()))
        for b in (batch, moved)
    )
    turned = {"flip_x": before.flip(3), "flip_y": before.flip(2), "transpose": before.swapaxes(2, 3)}[name]
    torch.testing.assert_close(after, turned, rtol=0, atol=1e-5)
    assert not np.allclose(after, before, atol=0.1)


def test_scalars_categories_and_noise_are_embedded():
    model = conditioning()
    view = VIEWS["straight"]
    base, level = at(view, 4, 3), torch.tensor([0.7])
    embedded = model.embed(base, level)[0]
    assert embedded.shape == (1, 16)
    for changed in (at(view, 4, 3, power=6.0), at(view, 4, 3, mode=2.0), at(view, 4, 3, mode=0.0)):
        assert (model.embed(changed, level)[0] - embedded).abs().max() > 0.01
    assert (model.embed(base, torch.tensor([0.9]))[0] - embedded).abs().max() > 0.01
    assert torch.equal(model.embed(at(view, 9, 1), level)[0], embedded)  # positions are drawn, not told


def test_scalars_are_normalised():
    torch.manual_seed(0)
    changed = dataclasses.replace(signature(), control_mean=(3.0,) + (0.0,) * 5, control_scale=(4.0,) + (2.0,) * 5)
    other = Conditioning(changed, 16)
    view, level = VIEWS["straight"], torch.tensor([0.7])
    one = conditioning().embed(at(view, 4, 3, power=2.0), level)[0]
    torch.testing.assert_close(other.embed(at(view, 4, 3, power=7.0), level)[0], one)


def test_without_controls_there_is_the_noise_level_alone():
    model = conditioning(controls=ColumnTable(()))
    assert model.maps == 0
    assert model.draw(torch.zeros(3, 0), torch.tensor([VIEWS["straight"]] * 3)).shape == (3, 0, 8, 12)
    assert model.embed(torch.zeros(3, 0), torch.ones(3))[0].shape == (3, 16)


def test_the_height_of_a_position_is_not_lost():
    table = ColumnTable(tuple(Column(f"tip_{a}", "nm", -5, 5, group="tip", axis=a, frame="lab") for a in "xyz"))
    model = conditioning(controls=table)
    assert model.maps == len(MAP_WIDTHS) and model.scalars == [2]
    low, high = (model.embed(torch.tensor([[1.0, 1.0, z]]), torch.ones(1))[0] for z in (0.0, 2.0))
    assert (low - high).abs().max() > 0.01


# What is unknown, and covariates

COVARIATES = ColumnTable((Column("speed", "m/s", 0, 9), Column("sky", "1", kind="categorical", levels=("dry", "wet"))))


def informed(**settings):
    torch.manual_seed(0)
    told = dataclasses.replace(
        signature(), covariates=COVARIATES, covariate_mean=(4.0, 0.0), covariate_scale=(2.0, 1.0)
    )
    return Conditioning(told, 16, **settings)


def embedded(model, controls, covariates=None, view="straight"):
    found, tokens = model.embed(controls, torch.tensor([0.7]), torch.tensor([VIEWS[view]]), covariates)
    return found if tokens is None else torch.cat([found[:, None], tokens], dim=1)


@pytest.mark.parametrize("settings", [{}, {"apart": True}], ids=str)
def test_covariates_are_heeded_and_may_be_unknown(settings):
    model, controls = informed(**settings), at(VIEWS["straight"], 4, 3)
    base = embedded(model, controls, torch.tensor([[5.0, 1.0]]))
    others = ([[6.0, 1.0]], [[5.0, 0.0]], [[torch.nan, 1.0]], [[5.0, torch.nan]])
    for other in others:
        found = embedded(model, controls, torch.tensor(other))
        assert torch.isfinite(found).all() and (found - base).abs().max() > 0.01
    nothing = embedded(model, controls, torch.full((1, 2), torch.nan))
    assert torch.equal(nothing, embedded(model, controls))


def test_models_of_before_heed_no_covariates():
    told = dataclasses.replace(signature(), covariates=COVARIATES)
    assert Conditioning(told, 16).columns_of("covariates") == []


@pytest.mark.parametrize("kind", ["positions", "scalars", "categories", "covariates"])
@pytest.mark.parametrize("settings", [{}, {"apart": True}, {"drawn": False}], ids=str)
def test_each_kind_is_forgotten_alone(kind, settings):
    model, view = informed(**settings), torch.tensor([VIEWS["straight"]])
    controls, covariates = at(VIEWS["straight"], 4, 3), torch.tensor([[5.0, 1.0]])
    told, facts = model.without(kind, controls, covariates)
    drawn_changes = (model.draw(told, view) - model.draw(controls, view)).abs().sum() > 0
    told_changes = not torch.equal(embedded(model, told, facts), embedded(model, controls, covariates))
    assert drawn_changes == (kind == "positions" and model.drawn)
    assert told_changes == (kind != "positions" or not model.drawn)
    assert torch.isfinite(embedded(model, told, facts)).all() and torch.isfinite(model.draw(told, view)).all()
    unknown = set(torch.isnan(told[0]).nonzero().flatten().tolist())
    assert unknown == (set() if kind == "covariates" else set(model.columns_of(kind)))


def test_dropout_forgets_a_share_of_rows():
    model = informed()
    controls, covariates = at(VIEWS["straight"], 4, 3).repeat(4000, 1)[:, None].repeat(1, 2, 1), torch.ones(4000, 2)
    told, facts = model.dropped(controls, covariates, (0.5, 0.0, 0.1, 0.2, 0.0), torch.Generator().manual_seed(0))
    lost = torch.isnan(told)
    assert torch.equal(lost[:, 0], lost[:, 1])  # a row is a window
    shares = [lost[:, 0, model.columns_of(kind)[0]].float().mean() for kind in ("positions", "scalars", "categories")]
    assert shares == pytest.approx([0.5, 0.0, 0.1], abs=0.03)
    assert torch.isnan(facts).float().mean() == pytest.approx(0.2, abs=0.03)
    assert torch.equal(told[~lost], controls[~lost])


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_positions_that_are_told_are_those_on_the_frame(view):
    """The corners of the frame are -1 and 1, whatever the view."""
    model = informed(drawn=False)
    for col, row, expected in ((0, 0, (-1, -1)), (11, 7, (1, 1)), (11, 0, (1, -1))):
        told = model._told(at(view, col, row), torch.tensor([view]), None)
        for found in (told[1:3], told[3:5]):  # the beam in the laboratory, the spot in pixels
            assert [float(value) for value in found] == pytest.approx(expected, abs=1e-4)
    assert model.maps == 0
