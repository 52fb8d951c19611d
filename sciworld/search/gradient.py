"""Gradients of scores by controls, through a surrogate's posterior mean. The part of a search that knows torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from sciworld.errors import SearchError
from sciworld.search.problem import Problem


def gradients(
    surrogate: Any, state: Any, problem: Problem, controls: np.ndarray, chunk: int
) -> tuple[np.ndarray, np.ndarray]:
    """Scores (problem, candidate) of the posterior mean under controls (problem, candidate, step, control), and their
    gradients (problem, candidate, step, control).

    An objective says `differentiable = True` if it takes torch tensors as well as arrays. Raises SearchError where one
    does not, or the surrogate cannot be differentiated.
    """
    if not hasattr(surrogate, "differentiable"):
        raise SearchError("search: the surrogate has no gradients; use an optimizer that needs none, such as cem")
    objectives: list[Any] = list(problem.objectives(len(controls)))
    for i, objective in enumerate(objectives):
        if not getattr(objective, "differentiable", False):
            raise SearchError(
                f"problem {i}: the objective has no gradients; write it with operators that torch tensors have, too "
                "(DataArrays have no gradients), and set differentiable = True on it, or use another optimizer"
            )
    scores, slopes = np.empty(controls.shape[:2]), np.empty(controls.shape)
    at_once = max(1, chunk // len(controls))
    for begin in range(0, controls.shape[1], at_once):
        part = slice(begin, begin + at_once)
        given = torch.from_numpy(controls[:, part].astype(np.float32)).requires_grad_()
        futures = surrogate.differentiable(state, given)
        found = torch.stack([one(futures[i], given[i])[:, 0] for i, one in enumerate(objectives)])
        (slope,) = torch.autograd.grad(found.sum(), given)
        scores[:, part], slopes[:, part] = found.detach().cpu().numpy(), slope.cpu().numpy()
    return scores, slopes
