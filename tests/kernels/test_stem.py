"""Kinetic Monte Carlo of silicon in graphene: against its NumPy twin, its statistics, and the reference table."""

import numpy as np
import pytest
import twins
from scipy import stats

from sciworld.domains.stem.simulator import RATES, rate_terms
from sciworld.kernels import stem as kernels

# rates, offset in A on the Si-C axis: total rate in 1/s, P(that carbon), P(hop within 1.5 s), P(hop within 5 s);
# computed from the rate models' formulas, to three digits.
TABLE = [
    ("simple", 0.0, 0.176, 0.333, 0.233, 0.586),
    ("simple", 0.71, 0.269, 0.744, 0.332, 0.739),
    ("simple", 1.207, 0.783, 0.939, 0.691, 0.980),
    ("simple", 1.42, 1.041, 0.961, 0.790, 0.995),
    ("simple", 1.87, 0.414, 0.927, 0.463, 0.874),
    ("simple", 2.17, 0.208, 0.878, 0.268, 0.647),
    ("prior", 0.0, 0.019, 0.333, 0.028, 0.089),
    ("prior", 0.71, 0.126, 0.997, 0.172, 0.466),
    ("prior", 1.207, 0.231, 1.0, 0.293, 0.685),
    ("prior", 1.42, 0.207, 1.0, 0.266, 0.644),
    ("prior", 1.87, 0.078, 1.0, 0.110, 0.322),
    ("prior", 2.17, 0.023, 1.0, 0.034, 0.109),
]
N = 4000


def atoms(n, rates="prior", seed=0):
    """Arguments of `hop` for n different atoms with beams near them, but for the dwells and the output."""
    rng = np.random.default_rng(seed)
    sites = np.column_stack([rng.integers(-5, 5, (n, 2)), rng.integers(0, 2, n)])
    lattices = np.column_stack([rng.uniform(-3, 3, (n, 2)), rng.uniform(0, 2 * np.pi, n)])
    beams = twins.site_positions(sites, lattices) + rng.uniform(-2, 2, (n, 2))
    seeds = rng.integers(0, 2**64, n, dtype=np.uint64)
    return sites, lattices, rate_terms(rates, n, rng), beams, rng.uniform(0.5, 2, n), seeds


def same_atom(n, rates, offset, seed=0):
    """n times the same atom under the same beam, `offset` A from the silicon toward its neighbour 0."""
    sites, lattices, terms = (part.repeat(n, axis=0) for part in atoms(1, rates, seed)[:3])
    seeds = np.random.default_rng(seed).integers(0, 2**64, n, dtype=np.uint64)
    silicon = twins.site_positions(sites, lattices)
    along = (twins.site_positions(twins.neighbours(sites, 0), lattices) - silicon) / kernels.BOND
    return sites, lattices, terms, silicon + offset * along, np.ones(n), seeds


def hop(given, dwells, kernel=kernels.hop):
    """Sites and number of hops after `dwells`."""
    sites, lattices, terms, beams, currents, seeds = given
    after, hops = sites.copy(), np.full(len(sites), -1)
    kernel(after, lattices, terms, beams, np.broadcast_to(dwells, len(sites)).astype(float), currents, seeds, hops)
    return after, hops


def waiting_times(given):
    """The time of every candidate's first hop: with a given seed, it happens in every dwell that is longer than it."""
    high = np.full(len(given[0]), 1e-4)
    while (still := hop(given, high)[1] == 0).any():
        high[still] *= 2
    low = np.where(high > 1e-4, high / 2, 0.0)
    for _ in range(45):
        middle = (low + high) / 2
        still = hop(given, middle)[1] == 0
        low, high = np.where(still, middle, low), np.where(still, high, middle)
    return high


def probabilities(given, dwells):
    """P(stays), P(ends at neighbour 0, 1, 2), of the master equation."""
    sites, lattices, terms, beams, currents, _ = given
    out = np.empty((len(sites), 4))
    dwells = np.broadcast_to(dwells, len(sites)).astype(float)
    kernels.outcomes(sites, lattices, terms, beams, dwells, currents, out)
    return out


@pytest.mark.parametrize("rates", RATES)
def test_the_numpy_twin_gives_the_same_sites_and_hops(rates):
    given = atoms(N, rates)
    dwells = np.random.default_rng(1).uniform(0.5, 20, N)
    sites, hops = hop(given, dwells)
    twin_sites, twin_hops = hop(given, dwells, twins.hop)
    assert (sites == twin_sites).all() and (hops == twin_hops).all()
    assert hops.max() > 3 and (hops == 0).any()


@pytest.mark.parametrize("rates", RATES)
def test_waiting_times_are_exponential_in_the_sum_of_the_rates(rates):
    given = atoms(N, rates, seed=2)
    sites, lattices, terms, beams, currents, _ = given
    total = currents * twins.bond_rates(sites, lattices, beams, terms).sum(axis=1)
    assert stats.kstest(waiting_times(given) * total, "expon").pvalue > 1e-3


@pytest.mark.parametrize("rates", RATES)
def test_the_first_hop_chooses_in_proportion_to_the_rates(rates):
    given = same_atom(N, rates, 0.45)
    sites, lattices, terms, beams, _, _ = given
    shares = twins.bond_rates(sites[:1], lattices[:1], beams[:1], terms[:1])[0]
    after, hops = hop(given, waiting_times(given))
    assert (hops == 1).all()
    observed = [(after == twins.neighbours(sites, i)).all(axis=1).sum() for i in range(3)]
    assert sum(observed) == N
    assert stats.chisquare(observed, shares / shares.sum() * N).pvalue > 1e-3


@pytest.mark.parametrize(("rates", "offset", "total", "toward", "short", "long"), TABLE)
def test_the_reference_table(rates, offset, total, toward, short, long):
    given = same_atom(N, rates, offset, seed=3)
    sites, lattices, terms, beams, _, _ = given
    out = np.empty(3)
    assert kernels.bond_rates(*sites[0], kernels.pose_of(lattices[0]), *beams[0], terms[0], out) == pytest.approx(
        total, abs=1.1e-3
    )
    assert out[0] / out.sum() == pytest.approx(toward, abs=6e-4)
    for dwell, expected in ((1.5, short), (5.0, long)):
        _, hops = hop(given, dwell)
        error = np.sqrt(expected * (1 - expected) / N)
        assert (hops > 0).mean() == pytest.approx(expected, abs=4 * error + 1e-3)


@pytest.mark.parametrize(
    ("rates", "offset", "dwell"),
    [("prior", 1.2, 5.0), ("prior", 0.5, 20.0), ("simple", 1.42, 2.0), ("simple", 0.71, 6.0), ("mixture", 0.9, 4.0)],
)
def test_the_master_equation_agrees_with_monte_carlo(rates, offset, dwell):
    n = 20_000
    given = same_atom(n, rates, offset, seed=4)
    sites = given[0]
    after, hops = hop(given, dwell)
    ends = [sites, *(twins.neighbours(sites, i) for i in range(3))]
    observed = [(after == end).all(axis=1).sum() for end in ends]
    expected = probabilities(tuple(part[:1] for part in given), dwell)[0] * n
    assert (hops > 1).mean() > 0.02  # several hops within one dwell, back and forth
    assert stats.chisquare([*observed, n - sum(observed)], [*expected, n - expected.sum()]).pvalue > 1e-3


def test_outcomes_follow_the_symmetry_of_the_site():
    given = same_atom(1, "prior", 0.0)
    found = probabilities(given, 5.0)[0]
    assert found[1:] == pytest.approx(found[1]) and found.sum() <= 1 + 1e-12
    toward_first = probabilities(same_atom(1, "prior", 1.2), 5.0)[0]
    assert toward_first[1] > 0.5 and toward_first[2] == pytest.approx(toward_first[3])


def test_a_long_dwell_needs_no_small_numbers():
    """Uniformisation goes in pieces: exp(-1000) would be zero."""
    found = probabilities(same_atom(1, "simple", 1.42), 1000.0)[0]
    assert np.isfinite(found).all() and (found >= 0).all() and found.sum() < 1


@pytest.mark.parametrize("rates", RATES)
def test_current_acts_as_time_does(rates):
    sites, lattices, terms, beams, currents, seeds = atoms(500, rates, seed=5)
    doubled = (sites, lattices, terms, beams, 2 * currents, seeds)
    single = (sites, lattices, terms, beams, currents, seeds)
    assert (hop(doubled, 2.0)[0] == hop(single, 4.0)[0]).all()
    assert probabilities(doubled, 2.0) == pytest.approx(probabilities(single, 4.0), abs=1e-9)


def test_a_candidate_depends_on_its_own_seed_alone():
    given = atoms(50, seed=6)
    sites, hops = hop(given, 10.0)
    backwards = tuple(part[::-1].copy() for part in given)
    sites_back, hops_back = hop(backwards, 10.0)
    assert (sites_back[::-1] == sites).all() and (hops_back[::-1] == hops).all()


def test_no_rate_no_hop():
    sites, lattices, terms, beams, currents, seeds = atoms(20)
    _, hops = hop((sites, lattices, terms, beams + 500.0, currents, seeds), 20.0)
    assert (hops == 0).all()


def test_neighbours_are_one_bond_away_on_the_other_sublattice():
    sites, lattices, *_ = atoms(30)
    silicon = twins.site_positions(sites, lattices)
    for i in range(3):
        moved = np.array([kernels.neighbour(*site, i) for site in sites])
        assert (moved == twins.neighbours(sites, i)).all() and (moved[:, 2] == 1 - sites[:, 2]).all()
        back = np.array([kernels.neighbour(*site, i) for site in moved])
        assert (back == sites).all()
        away = twins.site_positions(moved, lattices) - silicon
        assert np.hypot(*away.T) == pytest.approx(kernels.BOND)


def rendered(n, shape=(26, 38), jitter=0.0, noisy=False):
    """Images of n atoms, or n images of one atom if noisy, through sheared views; sites, lattices, shifts, views."""
    rng = np.random.default_rng(8)
    sites, lattices, *_ = same_atom(n, "prior", 0.0, seed=7) if noisy else atoms(n, seed=7)
    silicon = twins.site_positions(sites, lattices)
    shifts = np.tile(rng.uniform(-0.2, 0.2, 2), (n, 1))
    views = np.tile([0.40, 0.05, 0.0, -0.03, 0.45, 0.0], (n, 1))
    views[:, [2, 5]] = silicon + shifts - views[:, [0, 3]] * 17 - views[:, [1, 4]] * 11
    out = np.empty((n, *shape))
    kernels.render(
        sites, lattices, shifts, views, 12.0, 3.9, 0.1, 0.465, jitter, noisy, rng.integers(0, 2**64, n, np.uint64), out
    )
    return out, sites, lattices, shifts, views


def test_rendering_is_a_gaussian_at_every_site():
    out, sites, lattices, shifts, views = rendered(3)
    row, col = np.mgrid[:26, :38]
    for c in range(len(out)):
        v = views[c]
        x, y = v[0] * col + v[1] * row + v[2], v[3] * col + v[4] * row + v[5]
        steps = np.array([(n, m, s) for n in range(-12, 13) for m in range(-12, 13) for s in (0, 1)])
        near = np.column_stack([sites[c, :2] + steps[:, :2], steps[:, 2]])
        places = twins.site_positions(near, np.tile(lattices[c], (len(near), 1))) + shifts[c]
        silicon = (near == sites[c]).all(axis=1)
        expected = np.full(x.shape, 1.2)
        for place, height in zip(places, np.where(silicon, 3.9, 1.0), strict=True):
            expected += 12.0 * height * np.exp(-0.5 * ((x - place[0]) ** 2 + (y - place[1]) ** 2) / 0.465**2)
        assert np.abs(out[c] - expected).max() < 0.01  # what lies beyond 4.5 sigma


def test_counts_are_poisson():
    noisy, sites, lattices, shifts, views = rendered(400, noisy=True)
    mean = np.empty((1, 26, 38))
    seeds = np.zeros(1, np.uint64)
    kernels.render(sites[:1], lattices[:1], shifts[:1], views[:1], 12.0, 3.9, 0.1, 0.465, 0.0, False, seeds, mean)
    z = (noisy.mean(axis=0) - mean[0]) / np.sqrt(mean[0] / 400)
    assert np.abs(z.mean()) < 0.15 and 0.9 < z.std() < 1.1
    assert (noisy.var(axis=0) / mean[0]).mean() == pytest.approx(1.0, abs=0.02)
    assert (noisy == np.rint(noisy)).all()


def test_jitter_displaces_whole_rows_along_themselves():
    still, *_ = rendered(1)
    shaken, *_ = rendered(1, jitter=0.05)
    slope = np.gradient(still[0], axis=1) / 0.4
    displacement = ((shaken - still)[0] * slope).sum(axis=1) / (slope**2).sum(axis=1)
    assert 0.03 < displacement.std() < 0.08
    unexplained = (shaken - still)[0] - displacement[:, None] * slope
    assert (unexplained**2).sum() < 0.1 * ((shaken - still)[0] ** 2).sum()
