"""locate: silicon and lattice in frames drawn here, by a renderer of the test's own, and in the real movie."""

import h5py
import numpy as np
import pytest

from sciworld.domains.stem.constants import BOND, LATTICE
from sciworld.domains.stem.locate import Located, locate
from sciworld.errors import RecordingError

SIGMA = 0.465  # A, probe
TURN = 2 * np.pi / 3


def honeycomb(silicon, orientation, reach=14, constant=LATTICE):
    """Carbon sites : (site, 2) A around a silicon whose first neighbour lies at `orientation`."""
    first, second = constant * np.array([[1.0, 0.0], [0.5, np.sqrt(0.75)]])
    grid = np.array([i * first + j * second for i in range(-reach, reach) for j in range(-reach, reach)])
    basis = np.vstack([grid, grid + (first + second) / 3])  # the second basis atom lies at 30 degrees
    turn = orientation - np.pi / 6
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    sites = basis @ rotation.T
    return silicon + sites[np.hypot(*sites.T) > 0.1]


def render(silicon, orientation, view, shape, carbon=12.0, ratio=3.27, constant=LATTICE):
    """Expected counts : (y, x) of one frame: a Gaussian at each atom, exactly where it is."""
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    x, y = view[0] * cols + view[1] * rows + view[2], view[3] * cols + view[4] * rows + view[5]
    atoms = np.vstack([silicon, honeycomb(silicon, orientation, constant=constant)])
    height = np.full(len(atoms), carbon)
    height[0] *= ratio
    frame = np.zeros(shape)
    for (ax, ay), h in zip(atoms, height, strict=True):
        if abs(ax - x.mean()) < 15 and abs(ay - y.mean()) < 15:
            frame += h * np.exp(-0.5 * ((x - ax) ** 2 + (y - ay) ** 2) / SIGMA**2)
    return frame


def draw(n, shape=(32, 32), step=14 / 32, seed=0, margin=2.5, **settings):
    """n expected frames with their views, silicon positions and orientations, all at random."""
    rng = np.random.default_rng(seed)
    view = np.tile([step, 0.0, 0.0, 0.0, step, 0.0], (n, 1))
    view[:, [2, 5]] = rng.uniform(-20, 20, (n, 2))
    size = step * (np.array([shape[1], shape[0]]) - 1)
    silicon = view[:, [2, 5]] + rng.uniform(margin, size - margin, (n, 2))
    orientation = rng.uniform(0, TURN, n)
    frames = np.stack([render(silicon[k], orientation[k], view[k], shape, **settings) for k in range(n)])
    return frames, view, silicon, orientation


def turned(found, true):
    """Difference of orientations in degrees, the third of a turn that the lattice repeats in taken out."""
    return np.degrees((found - true + TURN / 2) % TURN - TURN / 2)


def test_noisy_frames_are_located_without_bias():
    frames, view, silicon, orientation = draw(400, seed=1)
    found = locate(np.random.default_rng(2).poisson(frames), view)
    error = found.silicon - silicon
    assert np.hypot(*error.T).max() < 0.3
    assert np.abs(error.mean(axis=0)).max() < 0.02  # rms 0.055 A over 400 frames: 0.003 A
    assert np.sqrt((error**2).mean()) < 0.07
    angle = turned(found.orientation, orientation)
    assert np.abs(angle).max() < 3 and np.sqrt((angle**2).mean()) < 0.6
    assert (found.n_silicon == 1).mean() > 0.995
    assert found.quality.min() > 0.85 and found.intact.mean() > 0.99
    assert np.allclose(found.lattice_constant, LATTICE)


def test_frames_without_noise_show_no_bias_of_the_pixel_grid():
    frames, view, silicon, orientation = draw(60, shape=(24, 35), seed=3)
    found = locate(frames, view)
    assert np.abs(found.silicon - silicon).max() < 0.01
    assert np.abs(turned(found.orientation, orientation)).max() < 0.4


def test_neighbours_are_the_carbon_atoms():
    frames, view, silicon, orientation = draw(20, seed=4)
    found = locate(frames, view)
    for k in range(20):
        atoms = honeycomb(silicon[k], orientation[k])
        nearest = atoms[np.argsort(np.hypot(*(atoms - silicon[k]).T))[:3]]
        gaps = np.hypot(*(found.neighbours[k][:, None] - nearest).transpose(2, 0, 1))
        assert sorted(gaps.argmin(axis=1)) == [0, 1, 2] and gaps.min(axis=1).max() < 0.03
    assert np.allclose(np.hypot(*(found.neighbours - found.silicon[:, None]).transpose(2, 0, 1)), BOND)


def test_a_turned_and_flipped_view_gives_laboratory_coordinates():
    step, silicon, orientation = 0.4, np.array([3.0, -2.0]), 0.3
    turn = 0.5
    c, s = step * np.cos(turn), step * np.sin(turn)
    view = np.array([c, s, 0.0, s, -c, 0.0])  # determinant < 0: rows run the other way
    view[[2, 5]] = silicon - [view[0] * 14 + view[1] * 16, view[3] * 14 + view[4] * 16]
    found = locate(render(silicon, orientation, view, (30, 33))[None, ..., None], view[None])
    assert np.allclose(found.silicon, silicon, atol=0.01)
    assert np.allclose(found.pixel, [14, 16], atol=0.03)
    assert np.allclose(found.orientation, orientation, atol=0.01)


def test_the_lattice_constant_is_fitted_if_asked():
    frames, view, _, _ = draw(20, seed=5, constant=2.54)
    assert np.allclose(locate(frames, view, fit_scale=True).lattice_constant, 2.54, atol=0.015)
    assert np.allclose(locate(frames, view).lattice_constant, LATTICE)


def test_silicon_atoms_are_counted():
    frames, view, silicon, _ = draw(60, seed=6)
    one = locate(frames, view)
    rng = np.random.default_rng(7)

    def blob(centre, height):
        rows, cols = np.mgrid[:32, :32] * 14 / 32
        dx = cols + view[:, 2, None, None] - centre[:, 0, None, None]
        dy = rows + view[:, 5, None, None] - centre[:, 1, None, None]
        return height * np.exp(-0.5 * (dx**2 + dy**2) / SIGMA**2)

    extra = 2.27 * 12
    second = blob(one.neighbours[:, 0], extra)
    none = frames - blob(silicon, extra)
    assert (locate(rng.poisson(frames + second), view).n_silicon == 2).mean() > 0.9
    assert (locate(rng.poisson(np.maximum(none, 0)), view).n_silicon == 0).mean() > 0.9
    smeared = none + 0.5 * (blob(silicon, extra) + second)
    assert (locate(smeared, view).n_silicon == 2).mean() > 0.95


def test_intact_falls_when_carbon_is_missing():
    frames, view, silicon, _ = draw(10, seed=8)
    cols = np.arange(32) * 14 / 32 * np.ones((32, 1))
    for k in range(10):  # carve away what lies on one side of the silicon
        frames[k][cols + view[k, 2] > silicon[k, 0] + 2.0] = frames[k].min()
    assert locate(frames, view).intact.max() < 0.95


def test_frames_without_a_lattice_say_so():
    view = np.tile([0.4, 0.0, 0.0, 0.0, 0.4, 0.0], (4, 1))
    frames = np.zeros((4, 20, 24), np.float32)
    frames[1] = 3
    frames[2] = np.random.default_rng(0).poisson(9, (20, 24))
    frames[3, 4, 5] = np.nan
    found = locate(frames, view)
    assert np.isnan(found.silicon[[0, 1, 3]]).all() and not found.quality[[0, 1, 3]].any()
    assert found.n_silicon[[0, 1, 3]].tolist() == [0, 0, 0]
    assert found.quality[2] < 0.6


def test_no_frames_give_no_findings():
    found = locate(np.zeros((0, 5, 7)), np.zeros((0, 6)))
    assert isinstance(found, Located) and len(found) == 0 and found.neighbours.shape == (0, 3, 2)


@pytest.mark.parametrize(
    ("frames", "view", "message"),
    [
        (np.zeros((2, 5, 7, 3)), np.zeros((2, 6)), "shape"),
        (np.zeros((2, 5, 7), complex), np.zeros((2, 6)), "complex"),
        (np.zeros((2, 5, 7)), np.zeros((3, 6)), "2 frames"),
        (np.zeros((2, 5, 7)), np.zeros((2, 6)), "frame 0"),
        (np.zeros((2, 5, 7)), np.full((2, 6), np.nan), "pixel size"),
    ],
)
def test_bad_input_is_refused(frames, view, message):
    with pytest.raises(RecordingError, match=message):
        locate(frames, view)


def test_the_real_movie_agrees_with_its_labels(mirror):
    paths = sorted((mirror / "stem/si_graphene").glob("*.hdf5"))
    assert len(paths) == 25
    frames, labels = [], []
    for path in paths:
        with h5py.File(path) as file:
            frames.append(file["nn_input"][0])
            rows = file["defect_coord_0"][()]
        labels.append([float(value) for value in rows[rows[:, 2] == b"Si"][0, :2]])
    step = 20 / 256
    found = locate(np.stack(frames), np.tile([step, 0, 0, 0, step, 0], (25, 1)), fit_scale=True)
    error = 100 * step * np.hypot(*(found.pixel - labels).T)
    assert error.max() < 20 and np.median(error) <= 6
    assert found.n_silicon.tolist() == [1] * 25
    assert found.quality.min() > 0.8 and found.intact.min() > 0.97
    assert 2.48 < np.median(found.lattice_constant) < 2.55
