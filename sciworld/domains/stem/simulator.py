"""The trusted simulator: one silicon atom in graphene, a parked beam, and the images taken in between.

Physics: the beam knocks a carbon neighbour of the silicon and the Si-C bond inverts (Susi et al. 2014,
Phys. Rev. Lett. 113, 115501); controls are the beam's place and dwell (Tripathi et al. 2018, Nano Lett. 18, 5319).
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from sciworld.config import require
from sciworld.controls import Column, ColumnTable, ControlSpace
from sciworld.domains.stem.constants import BOND, ELECTRONS_PER_NA, LATTICE
from sciworld.errors import SimulatorError
from sciworld.kernels import stem as kernels
from sciworld.simulator import Observation

RATES = ("simple", "prior", "mixture")
REFERENCE_CURRENT = 0.1  # nA: the current at which the rate models are stated
_MAX_TERMS = 12

CHANNELS = ColumnTable((Column("haadf", "counts", low=0.0, role="measured", acts="during"),))


@dataclass(frozen=True)
class StemSettings:
    """How the microscope and the sample are set.

    Parameters
    ----------
    rates : simple | prior | mixture, the hop rates per neighbour (the mixture differs from atom to atom).
    current : nA; rates grow linearly with it.
    field_of_view : A, along the columns; pixels are square.
    rows, columns : pixels.
    frame_time : s for one image.
    carbon_counts : mean counts that a carbon atom adds at the centre of its image.
    z_exponent : HAADF intensity goes as Z to this power (1.61 for 54-200 mrad).
    probe_sigma : A, standard deviation of the probe.
    background : mean counts between atoms, in units of carbon_counts.
    drift : A/s, standard deviation of each component of the sample's constant drift velocity.
    row_jitter : A, standard deviation of each row's displacement along the row.
    imaging_hops : whether taking an image can make the silicon hop.
    recentre : whether the field of view follows the silicon once it leaves its central half.
    max_dwell : s, upper bound of the dwell control.
    reach : A, bound of the beam's coordinates either way from the origin of the laboratory frame.
    """

    rates: str = "prior"
    current: float = 0.1
    field_of_view: float = 14.0
    rows: int = 32
    columns: int = 32
    frame_time: float = 2.0
    carbon_counts: float = 12.0
    z_exponent: float = 1.61
    probe_sigma: float = 0.465
    background: float = 0.1
    drift: float = 0.001
    row_jitter: float = 0.03
    imaging_hops: bool = False
    recentre: bool = True
    max_dwell: float = 20.0
    reach: float = 100.0

    def __post_init__(self) -> None:
        require(self.rates in RATES, f"rates is {self.rates!r}; use one of {', '.join(RATES)}")
        require(self.rows >= 8 and self.columns >= 8, f"{self.rows} x {self.columns} pixels; use at least 8 x 8")
        for name in ("current", "field_of_view", "frame_time", "carbon_counts", "z_exponent", "probe_sigma", "reach"):
            value = getattr(self, name)
            require(math.isfinite(value) and value > 0, f"{name} is {value}; it must be positive and finite")
        for name in ("background", "drift", "row_jitter"):
            value = getattr(self, name)
            require(math.isfinite(value) and value >= 0, f"{name} is {value}; it must be finite and not negative")
        require(self.max_dwell > 0.5, f"max_dwell is {self.max_dwell} s; it must be above the least dwell, 0.5 s")

    @property
    def pixel(self) -> float:
        """A per pixel."""
        return self.field_of_view / self.columns

    @property
    def half_field(self) -> np.ndarray:
        """From the centre of the field of view to its edges along x and y : (2,) A."""
        return self.pixel * np.array([self.columns, self.rows]) / 2.0


@dataclass(frozen=True)
class StemState:
    """The truth about n atoms: what a search must never see.

    lattice : (candidate, 3) origin x, y in A and angle in rad. site : (candidate, 3) int64. terms :
    (candidate, term, 3) rate table. drift : (candidate, 2) A/s. centre : (candidate, 2) A, of the field of view.
    seconds : (candidate,) elapsed. dose : (candidate,) electrons delivered. hops : (candidate,) so far.
    """

    lattice: np.ndarray
    site: np.ndarray
    terms: np.ndarray
    drift: np.ndarray
    centre: np.ndarray
    seconds: np.ndarray
    dose: np.ndarray
    hops: np.ndarray

    @property
    def shift(self) -> np.ndarray:
        """How far the sample has drifted : (candidate, 2) A."""
        return self.drift * self.seconds[:, None]

    @property
    def silicon(self) -> np.ndarray:
        """Where the silicon is : (candidate, 2) A, laboratory frame."""
        return site_positions(self.site, self.lattice) + self.shift

    @property
    def neighbours(self) -> np.ndarray:
        """Where its three carbon neighbours are : (candidate, 3, 2) A, laboratory frame."""
        sites = np.stack([neighbour_sites(self.site, i) for i in range(3)], axis=1)
        return site_positions(sites, self.lattice[:, None, :]) + self.shift[:, None, :]

    def take(self, index: np.ndarray) -> StemState:
        """The state of the candidates in `index`, repeats allowed."""
        return StemState(**{f.name: getattr(self, f.name)[index] for f in dataclasses.fields(self)})


def site_positions(sites: np.ndarray, lattice: np.ndarray) -> np.ndarray:
    """Sites (..., 3) on lattices (..., 3) to positions (..., 2) in A."""
    n, m, s = np.moveaxis(np.asarray(sites, dtype=np.float64), -1, 0)
    x = LATTICE * (n + 0.5 * m + 0.5 * s)
    y = LATTICE * (math.sqrt(3.0) / 2.0 * m + math.sqrt(3.0) / 6.0 * s)
    c, d = np.cos(lattice[..., 2]), np.sin(lattice[..., 2])
    return np.stack([lattice[..., 0] + c * x - d * y, lattice[..., 1] + d * x + c * y], axis=-1)


def neighbour_sites(sites: np.ndarray, i: int) -> np.ndarray:
    """Neighbour i of sites (..., 3)."""
    sites = np.array(sites)
    sign = np.where(sites[..., 2] == 1, 1, -1)
    if i:
        sites[..., i - 1] += sign
    sites[..., 2] = 1 - sites[..., 2]
    return sites


def rate_terms(rates: str, n: int, rng: np.random.Generator) -> np.ndarray:
    """Rate tables of n atoms : (candidate, term, 3), see `sciworld.kernels.stem`.

    `mixture` draws per atom Poisson(2) + 1 Gaussians along the bond with variances U(0.1, 5) A^2 and places
    U(0, 2 b), scaled so that the largest rate on the bond's axis is U(0.01, 1) 1/s.
    """
    if rates == "simple":
        return np.tile([[BOND, -1.0, 1.0]], (n, 1, 1))
    if rates == "prior":
        return np.tile([[0.85 * BOND, 0.1 * BOND**2, math.log(2.0) / 3.0]], (n, 1, 1))
    count = np.minimum(rng.poisson(2.0, n) + 1, _MAX_TERMS)
    used = np.arange(_MAX_TERMS) < count[:, None]
    place = rng.uniform(0.0, 2.0 * BOND, (n, _MAX_TERMS))
    variance = np.where(used, rng.uniform(0.1, 5.0, (n, _MAX_TERMS)), 0.0)
    height = np.where(used, rng.uniform(0.0, 1.0, (n, _MAX_TERMS)), 0.0)
    axis = np.linspace(-1.0, 3.0 * BOND, 200)
    terms = np.exp(-0.5 * (axis[:, None, None] - place) ** 2 / np.where(used, variance, 1.0))
    height *= (rng.uniform(0.01, 1.0, n) / (height * terms).sum(axis=2).max(axis=0))[:, None]
    return np.stack([place, variance, height], axis=2)


class StemSimulator:
    """Graphene with one silicon atom per candidate, steered by a parked beam: trusted, seeded, vectorised.

    One step parks the beam at (beam_x, beam_y) for `dwell` seconds, then takes an image.
    """

    judge = "kinetic Monte Carlo of Si in graphene"

    def __init__(self, settings: StemSettings | None = None) -> None:
        self.settings = settings or StemSettings()
        reach = self.settings.reach
        position = {"low": -reach, "high": reach, "group": "beam", "frame": "lab"}
        self._space = ControlSpace(
            ColumnTable(
                (
                    Column("beam_x", "A", axis="x", **position),  # type: ignore[arg-type]
                    Column("beam_y", "A", axis="y", **position),  # type: ignore[arg-type]
                    Column("dwell", "s", low=0.5, high=self.settings.max_dwell),
                )
            )
        )

    @property
    def space(self) -> ControlSpace:
        """beam_x, beam_y in A (laboratory frame) and dwell in s."""
        return self._space

    def start(self, n: int, rng: np.random.Generator) -> StemState:
        """n different atoms: orientation, sublattice and sub-pixel place at random, silicon near the centre."""
        if n < 1:
            raise SimulatorError(f"start: {n} candidates; use at least 1")
        lattice = np.column_stack([rng.uniform(-0.5, 0.5, (n, 2)), rng.uniform(0.0, 2.0 * math.pi, n)])
        site = np.zeros((n, 3), dtype=np.int64)
        site[:, 2] = rng.integers(0, 2, n)
        # The silicon, on either sublattice, stands within half an A of the origin.
        lattice[:, :2] -= site_positions(site, lattice) - lattice[:, :2]
        return StemState(
            lattice=lattice,
            site=site,
            terms=rate_terms(self.settings.rates, n, rng),
            drift=self.settings.drift * rng.standard_normal((n, 2)),
            centre=np.zeros((n, 2)),
            seconds=np.zeros(n),
            dose=np.zeros(n),
            hops=np.zeros(n, dtype=np.int64),
        )

    def view(self, state: StemState) -> np.ndarray:
        """The affine map from pixel indices to A : (candidate, 6); rows run down, y grows with the row."""
        settings = self.settings
        n = len(state.seconds)
        view = np.zeros((n, 6))
        view[:, 0] = view[:, 4] = settings.pixel
        view[:, 2] = state.centre[:, 0] - settings.pixel * (settings.columns - 1) / 2
        view[:, 5] = state.centre[:, 1] - settings.pixel * (settings.rows - 1) / 2
        return view

    def image(self, state: StemState, rng: np.random.Generator, noisy: bool = True) -> Observation:
        """The image of the present state, without touching it; with noisy=False, the mean counts."""
        settings = self.settings
        n = len(state.seconds)
        frames = np.empty((n, settings.rows, settings.columns))
        view = self.view(state)
        kernels.render(
            state.site,
            state.lattice,
            state.shift,
            view,
            settings.carbon_counts,
            (14.0 / 6.0) ** settings.z_exponent,
            settings.background,
            settings.probe_sigma,
            settings.row_jitter if noisy else 0.0,
            noisy,
            _seeds(rng, n),
            frames,
        )
        dtype = np.uint16 if noisy else np.float64
        return Observation(np.minimum(frames, 65535.0)[..., None].astype(dtype), state.seconds, view)

    def expose(self, state: StemState, rng: np.random.Generator) -> tuple[Observation, StemState]:
        """Take an image: the frame time passes, and with `imaging_hops` the silicon may hop right after it."""
        settings = self.settings
        observation = self.image(state, rng)
        site, hops = state.site, state.hops
        if settings.imaging_hops:
            site, hops = self._imaging_hop(state, rng)
        electrons = settings.current * ELECTRONS_PER_NA * settings.frame_time
        return observation, dataclasses.replace(
            state, site=site, hops=hops, seconds=state.seconds + settings.frame_time, dose=state.dose + electrons
        )

    def step(self, state: StemState, controls: np.ndarray, rng: np.random.Generator) -> tuple[Observation, StemState]:
        """`park` the beam, then `expose`. controls : (candidate, 3), beam_x and beam_y in A, dwell in s.

        Raises ControlError outside the bounds, SimulatorError for a beam outside the field of view.
        """
        return self.expose(self.park(state, controls, rng), rng)

    def park(self, state: StemState, controls: np.ndarray, rng: np.random.Generator) -> StemState:
        """The state after the beam has stood, and the field of view has followed, without an image; see `step`."""
        settings = self.settings
        controls = np.asarray(self.space.check(controls), dtype=np.float64)
        n = len(state.seconds)
        if controls.shape != (n, 3):
            raise SimulatorError(f"controls have shape {controls.shape}; expected ({n}, 3), one row a candidate")
        self._require_inside(state, controls)
        dwell = np.ascontiguousarray(controls[:, 2])
        site, hops = state.site.copy(), np.zeros(n, dtype=np.int64)
        # The sample drifts while the beam stands still: seen from the sample, the beam is displaced.
        shift = state.drift * (state.seconds + 0.5 * dwell)[:, None]
        factor = np.full(n, settings.current / REFERENCE_CURRENT)
        kernels.hop(site, state.lattice, state.terms, controls[:, :2] - shift, dwell, factor, _seeds(rng, n), hops)
        state = dataclasses.replace(
            state,
            site=site,
            hops=state.hops + hops,
            seconds=state.seconds + dwell,
            dose=state.dose + settings.current * ELECTRONS_PER_NA * dwell,
        )
        if settings.recentre:
            state = dataclasses.replace(state, centre=self._recentred(state))
        return state

    def observe(self, state: StemState, observation: Observation) -> StemState:
        """The state as it is: a trusted simulator has nothing to learn from its own image."""
        return state

    def outcomes(self, state: StemState, controls: np.ndarray) -> np.ndarray:
        """Exact probabilities : (candidate, 4) that the silicon stays, or ends at neighbour 0, 1, 2.

        controls : (candidate, 3). From the master equation, not from sampling: the truth behind hop maps.
        """
        controls = np.asarray(self.space.check(controls), dtype=np.float64)
        n = len(controls)
        shift = state.drift * (state.seconds + 0.5 * controls[:, 2])[:, None]
        out = np.empty((n, 4))
        kernels.outcomes(
            state.site,
            state.lattice,
            state.terms,
            controls[:, :2] - shift,
            np.ascontiguousarray(controls[:, 2]),
            np.full(n, self.settings.current / REFERENCE_CURRENT),
            out,
        )
        return out

    def _imaging_hop(self, state: StemState, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """One hop, to any neighbour alike, with the probability that a scan over the whole field gives it."""
        settings = self.settings
        area = settings.field_of_view**2 * settings.rows / settings.columns
        variance, height = state.terms[..., 1], state.terms[..., 2]
        # The rate integrated over the field: a Gaussian wholly, the Lorentzian over a disc of the field's area.
        disc = math.pi * BOND**2 / 16.0 * math.log1p(16.0 * area / (math.pi * BOND**2))
        integral = np.where(variance < 0, height * disc, 2.0 * math.pi * variance * height).sum(axis=1)
        rate = 3.0 * integral / area * settings.current / REFERENCE_CURRENT
        struck = rng.random(len(rate)) < -np.expm1(-rate * settings.frame_time)
        choice = rng.integers(0, 3, len(rate))
        site = state.site.copy()
        for i in range(3):
            moved = struck & (choice == i)
            site[moved] = neighbour_sites(site[moved], i)
        return site, state.hops + struck

    def _recentred(self, state: StemState) -> np.ndarray:
        """The centre of the field: moved onto the silicon where that has left the central half."""
        left = (np.abs(state.silicon - state.centre) > self.settings.half_field / 2.0).any(axis=1)
        return np.where(left[:, None], state.silicon, state.centre)

    def _require_inside(self, state: StemState, controls: np.ndarray) -> None:
        half = self.settings.half_field
        outside = (np.abs(controls[:, :2] - state.centre) > half).any(axis=1)
        if outside.any():
            c = int(np.flatnonzero(outside)[0])
            raise SimulatorError(
                f"candidate {c}: beam at ({controls[c, 0]:.2f}, {controls[c, 1]:.2f}) A is outside the field of view, "
                f"({state.centre[c, 0]:.2f}, {state.centre[c, 1]:.2f}) +- ({half[0]:.2f}, {half[1]:.2f}) A; "
                "move the beam inside it"
            )


def places_about(state: StemState, c: int, reach: int) -> np.ndarray:
    """Where the lattice sites of candidate c are, up to `reach` cells either way from its silicon : (site, 2) A."""
    steps = np.mgrid[-reach : reach + 1, -reach : reach + 1, 0:2].reshape(3, -1).T
    sites = np.column_stack([state.site[c, :2] + steps[:, :2], steps[:, 2]])
    return site_positions(sites, state.lattice[c][None]) + state.shift[c]


def random_goals(state: StemState, radius: float, rng: np.random.Generator) -> np.ndarray:
    """One lattice site per atom, drawn evenly from those two bonds to `radius` A away from it : (candidate, 2) A."""
    n = len(state.seconds)
    reach = int(radius / (LATTICE * 0.866)) + 2
    goals = np.empty((n, 2))
    for c in range(n):
        places = places_about(state, c, reach)
        distance = np.linalg.norm(places - state.silicon[c], axis=1)
        near = np.flatnonzero((distance > 1.5 * BOND) & (distance <= radius))
        if not len(near):
            raise SimulatorError(f"random_goals: no site within {radius} A; use at least {LATTICE} A")
        goals[c] = places[rng.choice(near)]
    return goals


def _seeds(rng: np.random.Generator, n: int) -> np.ndarray:
    """One seed a candidate : (candidate,) uint64."""
    return rng.integers(0, 2**64, n, dtype=np.uint64)
