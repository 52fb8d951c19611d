"""Gymnasium faces of the trusted simulators: importing this registers them.

`gymnasium.make("sciworld.envs:sciworld/Cylinder-v0")` imports it by itself, and so does `gymnasium.make_vec`, which
steps all environments as one batch. Settings of the simulators are keywords. Observations are frames, actions are
controls in their units, and `info` holds the truth, with its "units".

A process that is forked after a simulator stepped dies: with `vectorization_mode="async"` give `gymnasium.make_vec`
`vector_kwargs={"context": "spawn"}`, too.
"""

import gymnasium

# id -> the face in `faces.FACES`, and the limit of steps. 80 actions of a wake are the 20 D/U of Rabault et al. (2019).
ENVIRONMENTS = {
    "sciworld/StemSilicon-v0": ("stem", 100),
    "sciworld/Cylinder-v0": ("cylinder", 80),
    "sciworld/Road-v0": ("road", 400),
    "sciworld/Imagined-v0": ("imagined", 100),
}

for _id, (_face, _limit) in ENVIRONMENTS.items():
    gymnasium.register(
        _id,
        entry_point="sciworld.envs.single:Environment",
        vector_entry_point="sciworld.envs.vector:Environments",
        max_episode_steps=_limit,
        kwargs={"face": _face},
    )
