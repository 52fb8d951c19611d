"""Members side by side: their samples in turn, their disagreement apart from their chance."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import toy
from toy_model import SIGNATURE, TINY, tiny

from sciworld.controls import Column, ColumnTable
from sciworld.errors import ModelError, SettingsError
from sciworld.models.diffusion import Diffusion, DiffusionSettings
from sciworld.simulator import Observation, rollout
from sciworld.surrogate.ensemble import Ensemble
from sciworld.surrogate.surrogate import Surrogate

N = 3


def observed(n: int = N) -> Observation:
    rng = np.random.default_rng(0)
    frames = toy.render(rng.uniform(1, 3, (n, 2)), np.ones(n))
    return Observation(frames, np.zeros(n), np.tile(toy.VIEW, (n, 1)))


def controls(*shape: int) -> np.ndarray:
    return toy.SPACE.sample(np.random.default_rng(1), shape)


def members(m: int = 2) -> list[Surrogate]:
    return [Surrogate(tiny(seed), evaluations=2) for seed in range(m)]


def test_samples_come_from_members_drawn_by_chance() -> None:
    own = members()
    both, rng = Ensemble(own), np.random.default_rng(0)
    asked = controls(N, 2, 4)
    found = both.futures(both.start(observed()), asked, 5, rng)
    assert found.shape == (N, 2, 5, 4, toy.Y, toy.X, 2)
    again = np.random.default_rng(0)
    drawn = again.integers(2, size=5)
    assert set(drawn) == {0, 1}
    parts = [one.futures(one.start(observed()), asked, int((drawn == k).sum()), again) for k, one in enumerate(own)]
    for j, k in enumerate(drawn):
        np.testing.assert_array_equal(found[:, :, j], parts[k][:, :, (drawn[:j] == k).sum()])
    mean = both.futures(both.start(observed()), asked, 0, rng)
    expected = np.mean([one.futures(one.start(observed()), asked, 0, rng) for one in own], axis=0)
    np.testing.assert_allclose(mean, expected, rtol=1e-6)
    assert both.evaluations(2, 4, 5) == own[0].evaluations(2, 4, 5)
    assert both.evaluations(2, 4, 0) == 2 * own[0].evaluations(2, 4, 0)


def test_what_is_known_of_runs_is_told_every_member() -> None:
    facts = dataclasses.replace(
        SIGNATURE, covariates=ColumnTable((Column("sun", "K"),)), covariate_mean=(0.0,), covariate_scale=(1.0,)
    )
    own = [Surrogate(Diffusion(facts, DiffusionSettings(**TINY))) for _ in range(2)]  # type: ignore[arg-type]
    state = Ensemble(own).knowing(np.array([4.0])).start(observed())
    for one in state.state:
        assert (one.covariates == 4.0).all()


def test_a_candidate_follows_one_member() -> None:
    own = members()
    both = Ensemble(own)
    first, plan = observed(4), controls(4, 3)

    class Fixed:
        def start(self, n: int, rng: np.random.Generator) -> int:
            return 0

        def act(self, state: int, observation: Observation) -> tuple[np.ndarray, int]:
            return plan[:, state], state + 1

    means = [Surrogate(one.model, evaluations=1) for one in own]
    together = rollout(Ensemble(means), Ensemble(means).start(first), first, Fixed(), 3, np.random.default_rng(0))
    for k, member in enumerate(means):
        alone = rollout(member, member.start(first), first, Fixed(), 3, np.random.default_rng(0))
        for one, other in zip(together.observations, alone.observations, strict=True):
            np.testing.assert_allclose(one.frames[k::2], other.frames[k::2], rtol=1e-5)
    assert both.observe(both.start(first), first).observation is first


def test_spread_tells_chance_from_disagreement() -> None:
    class Drawing(Surrogate):
        """Draws about a mean of its own."""

        def __init__(self, mean: float, deviation: float) -> None:
            super().__init__(tiny(), evaluations=2)
            self.about, self.deviation = mean, deviation

        def futures(self, state, controls, samples, rng):  # type: ignore[no-untyped-def]
            p, c, t, _ = controls.shape
            shape = (p, c, samples, t, toy.Y, toy.X, 2)
            return self.about + self.deviation * rng.standard_normal(shape)

    asked, rng = controls(2, 3, 2), np.random.default_rng(0)

    def of(means: tuple[float, ...], deviation: float) -> tuple[float, float, float]:
        both = Ensemble([Drawing(mean, deviation) for mean in means])
        found = both.spread(both.start(observed(2)), asked, 8, rng)
        assert found.mean.shape == found.within.shape == found.between.shape == (2, 3, 2, toy.Y, toy.X, 2)
        squares = [float(np.square(part).mean()) for part in (found.within, found.between)]
        return float(found.mean.mean()), squares[0], squares[1]

    mean, within, between = of((1.0, 3.0, 5.0), 0.0)
    assert (mean, within, between) == pytest.approx((3.0, 0.0, 4.0))
    mean, within, between = of((1.0, 3.0, 5.0), 2.0)
    assert (mean, within) == pytest.approx((3.0, 4.0), rel=0.03) and between == pytest.approx(4.0, rel=0.05)
    _, within, between = of((3.0, 3.0, 3.0), 2.0)
    assert within == pytest.approx(4.0, rel=0.03) and between < 0.3  # 0.5 are chance; what is left of it is cut at 0


def test_members_of_another_kind_are_refused() -> None:
    with pytest.raises(SettingsError, match="1 members; an ensemble has two or more"):
        Ensemble(members(1))
    other = dataclasses.replace(SIGNATURE, channels=ColumnTable((Column("smoke", "counts"), Column("heat", "mK"))))
    odd = Surrogate(Diffusion(other, DiffusionSettings(**TINY)))  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="give members of one kind"):
        Ensemble([*members(1), odd])
    facts = dataclasses.replace(
        SIGNATURE, covariates=ColumnTable((Column("sun", "K"),)), covariate_mean=(0.0,), covariate_scale=(1.0,)
    )
    with pytest.raises(ModelError, match=r"with covariates sun, the first for .* with covariates none"):
        Ensemble([*members(1), Surrogate(Diffusion(facts, DiffusionSettings(**TINY)))])  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="samples is 1"):
        both = Ensemble(members())
        both.spread(both.start(observed()), controls(N, 1, 1), 1, np.random.default_rng(0))
