"""How controls and covariates reach a model: positions as maps on the pixel grid, scalars as features, categories as
embeddings, text as the mean embedding of its words.

In a trial on silicon hops the same net correlated 0.965 with the true hop map when it was given the beam as maps, and
0.34 when it was given it as a vector: positions are therefore drawn, unless the model has no grid to draw them on.

NaN is unknown, and a model can be trained to live with that: what is dropped in training, and what guidance leaves out,
is set to NaN (classifier-free guidance: Ho and Salimans 2022, arXiv:2207.12598), kind by kind.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from sciworld.config import require
from sciworld.controls import ColumnTable
from sciworld.models.base import Signature
from sciworld.words import COUNT, NUMBERS

MAP_WIDTHS = (1.0, 3.0)  # standard deviations of a position's map, in pixels
FREQUENCIES = (0.25, 0.5, 1.0)  # of the Fourier features of a scalar, in cycles per standard deviation
FEATURES = 2 + 2 * len(FREQUENCIES)
KINDS = ("positions", "scalars", "categories", "covariates", "text")
OF_RUNS = ("covariates", "text")  # the kinds of what is known of a whole run
PACE = 16.0  # the words' embeddings over their weights: from 0, these would learn too slowly at the rate of the others
INJECTIONS = ("film", "add", "attention")


def require_shares(dropout: tuple[float, ...], guidance: tuple[float, ...]) -> None:
    """Raise SettingsError unless these are numbers for every kind of KINDS, and what guides was dropped in training."""
    for name, values, most in (("dropout", dropout, 1.0), ("guidance", guidance, 100.0)):
        fine = len(values) == len(KINDS) and all(0 <= value <= most for value in values)
        require(fine, f"{name} is {values}; give {len(KINDS)} numbers of 0 to {most:g}, for {', '.join(KINDS)}")
    for kind, rate, strength in zip(KINDS, dropout, guidance, strict=True):
        require(not strength or rate > 0, f"guidance by {kind} needs a model that was trained with dropout of them")


class Conditioning(nn.Module):
    """Turns controls, covariates and the noise level into maps : (b, map, y, x), an embedding and tokens.

    Parameters
    ----------
    signature : which controls are positions, scalars, categories, and how scalars are normalised.
    width : of the embedding and of tokens.
    drawn : positions are drawn as maps; else they are told, as numbers from -1 to 1 across the frame.
    apart : what is not drawn comes as tokens to attend to, one a column, and the embedding is of the noise level alone.
    reads : texts are heeded, as bags of words: what is known of a run then ends in their numbers, see `known`.
    """

    mean: torch.Tensor
    scale: torch.Tensor
    covariate_mean: torch.Tensor
    covariate_scale: torch.Tensor

    def __init__(
        self, signature: Signature, width: int, *, drawn: bool = True, apart: bool = False, reads: bool = False
    ) -> None:
        super().__init__()
        self.signature, self.drawn = signature, drawn
        table, covariates = signature.controls, self._covariates()
        self.positions = list(table.positions().values())
        # What is not drawn is told: the height of a position is a scalar.
        across = {i for pair in self.positions for i in pair}
        self.scalars = [i for i, c in enumerate(table) if i not in across and c.kind != "categorical"]
        self.categories = [i for i, c in enumerate(table) if c.kind == "categorical"]
        self.maps = len(MAP_WIDTHS) * len(self.positions) if drawn else 0
        self.facts = [i for i, c in enumerate(covariates) if c.kind != "categorical"]
        self.classes = [i for i, c in enumerate(covariates) if c.kind == "categorical"]
        self.levels = [len(table.columns[i].levels) for i in self.categories]
        self.levels += [len(covariates.columns[i].levels) for i in self.classes]
        self.embeddings = nn.ModuleList(_table(n, width) for n in self.levels)
        told = len(self.scalars) + len(self.facts) + (0 if drawn else 2 * len(self.positions))
        self.tokens = nn.ModuleList(nn.Linear(FEATURES + 1, width) for _ in range(told if apart else 0))
        features = FEATURES + (0 if apart else told * (FEATURES + 1))
        self.mix = nn.Sequential(nn.Linear(features, width), nn.SiLU(), nn.Linear(width, width))
        self.apart = apart and told + len(self.levels) + reads > 0
        # Begun at 0, where a word that training never shows stays: it changes nothing. Begun at random, such words
        # moved a toy whose text decides the future by 0.2 to 1.1 of what the words that count do.
        none = torch.zeros(NUMBERS, width)
        self.words = nn.EmbeddingBag.from_pretrained(none, freeze=False, padding_idx=0) if reads else None
        for name in ("mean", "scale"):
            self.register_buffer(name, torch.tensor(getattr(signature, f"control_{name}")), persistent=False)
            values = getattr(signature, f"covariate_{name}")
            self.register_buffer(f"covariate_{name}", torch.tensor(values), persistent=False)

    def _covariates(self) -> ColumnTable:
        """Those that the model heeds: none, where it does not know how they are normalised."""
        return self.signature.covariates if self.signature.covariate_mean else ColumnTable(())

    def known(
        self, view: torch.Tensor, covariates: torch.Tensor | None, words: torch.Tensor | None
    ) -> torch.Tensor | None:
        """Covariates (b, covariate), and after them, where texts are read, the numbers of the words of each run's text.

        These are (b, 16), 0 for none; None, or (b, 0), for no text. view : (b, 6), for b and the device.
        """
        if self.words is None:
            return covariates
        if covariates is None:
            covariates = view.new_full((len(view), len(self.signature.covariates)), math.nan)
        if words is None or not words.shape[1]:
            words = view.new_zeros((len(view), COUNT))
        return torch.cat([covariates.to(torch.float32), words.to(torch.float32)], dim=1)

    def draw(self, controls: torch.Tensor, view: torch.Tensor) -> torch.Tensor:
        """Maps of the positions in controls : (b, control), seen through view : (b, 6), as (b, map, y, x).

        A position in the "lab" frame is drawn where the view says that it falls; one in the "pixel" frame at
        (column, row). One that falls outside the frame, or is unknown, leaves its map dark.
        """
        rows, cols, _ = self.signature.shape
        if not self.maps:
            return controls.new_zeros((len(controls), 0, rows, cols))
        row = torch.arange(rows, device=controls.device, dtype=torch.float32)[:, None]
        col = torch.arange(cols, device=controls.device, dtype=torch.float32)[None, :]
        v = view.to(torch.float32)[:, :, None, None]
        drawn = []
        for ix, iy in self.positions:
            known = torch.isfinite(controls[:, ix] + controls[:, iy])[:, None, None]
            x, y = (torch.where(known, controls[:, i, None, None], 0.0) for i in (ix, iy))
            if self.signature.controls.columns[ix].frame == "lab":
                # Distance in the laboratory, where a pixel may be sheared or turned, in units of the pitch.
                dx = v[:, 0] * col + v[:, 1] * row + v[:, 2] - x
                dy = v[:, 3] * col + v[:, 4] * row + v[:, 5] - y
                square = (dx * dx + dy * dy) / self.signature.view_step**2
            else:
                square = (col - x) ** 2 + (row - y) ** 2
            drawn += [torch.exp(square * (-0.5 / width**2)) * known for width in MAP_WIDTHS]
        return torch.stack(drawn, dim=1)

    def embed(
        self,
        controls: torch.Tensor,
        level: torch.Tensor,
        view: torch.Tensor | None = None,
        covariates: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Embedding : (b, width) of what is not drawn and of level : (b,), with `apart` tokens : (b, token, width).

        view : (b, 6), needed where positions are told. covariates : (b, covariate) in their units, and what
        is read after them, see `known`; None for unknown.
        """
        told = self._told(controls, view, covariates)
        features = [_features(value) for value in told]
        chosen = [controls[:, i] for i in self.categories]
        for i in self.classes:
            chosen.append(controls.new_full((len(controls),), math.nan) if covariates is None else covariates[:, i])
        classes = [
            table(torch.where(torch.isfinite(value), value, levels).round().long())
            for value, table, levels in zip(chosen, self.embeddings, self.levels, strict=True)
        ]
        if self.words is not None:
            none = controls.new_zeros((len(controls), COUNT))
            read = none if covariates is None else torch.nan_to_num(covariates[:, -COUNT:])
            classes.append(PACE * self.words(read.long()))
        noise = _features(level)[:, :-1]
        if not self.apart:
            embedded: torch.Tensor = self.mix(torch.cat([*features, noise], dim=1))
            return sum(classes, embedded), None
        tokens = [layer(feature) for layer, feature in zip(self.tokens, features, strict=True)]
        return self.mix(noise), torch.stack([*tokens, *classes], dim=1)

    def _told(
        self, controls: torch.Tensor, view: torch.Tensor | None, covariates: torch.Tensor | None
    ) -> list[torch.Tensor]:
        """What is not drawn nor a category : (b,) each, of order one, NaN where it is unknown."""
        told = [(controls[:, i] - self.mean[i]) / self.scale[i] for i in self.scalars]
        for ix, iy in [] if self.drawn else self.positions:
            x, y = controls[:, ix], controls[:, iy]
            if self.signature.controls.columns[ix].frame == "lab":
                v = controls.new_zeros((len(controls), 6)) if view is None else view.to(torch.float32)
                a, b, c, d = v[:, 0], v[:, 1], v[:, 3], v[:, 4]
                dx, dy, area = x - v[:, 2], y - v[:, 5], a * d - b * c
                x, y = (d * dx - b * dy) / area, (a * dy - c * dx) / area
            rows, cols, _ = self.signature.shape
            told += [2 * x / (cols - 1) - 1, 2 * y / (rows - 1) - 1]
        for i in self.facts:
            unknown = controls.new_full((len(controls),), math.nan)
            value = unknown if covariates is None else covariates[:, i]
            told.append((value - self.covariate_mean[i]) / self.covariate_scale[i])
        return told

    def columns_of(self, kind: str) -> list[int]:
        """Which controls are of `kind`; of the kinds `OF_RUNS`, which columns of what is known of runs."""
        if kind == "covariates":
            return [*self.facts, *self.classes]
        if kind == "text":
            return [] if self.words is None else list(range(-COUNT, 0))
        across = [i for pair in self.positions for i in pair]
        found = {"positions": across, "scalars": self.scalars, "categories": self.categories}
        return found[kind]

    def without(
        self, kind: str, controls: torch.Tensor, covariates: torch.Tensor | None, rows: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The same with everything of `kind` unknown, in `rows` : (b,) bool, or all."""
        given = covariates if kind in OF_RUNS else controls
        columns = self.columns_of(kind)
        if given is None or not columns:
            return controls, covariates
        lost = torch.zeros(given.shape, dtype=torch.bool, device=given.device)
        lost[..., columns] = True if rows is None else rows.reshape(-1, *[1] * (given.ndim - 1))
        given = torch.where(lost, math.nan, given)
        return (controls, given) if kind in OF_RUNS else (given, covariates)

    def dropped(
        self,
        controls: torch.Tensor,
        covariates: torch.Tensor | None,
        rates: Sequence[float],
        generator: torch.Generator,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The same, where each kind of KINDS is unknown in a share of rows, `rates`."""
        for kind, rate in zip(KINDS, rates, strict=True):
            if rate > 0:
                rows = torch.rand(len(controls), generator=generator, device=controls.device) < rate
                controls, covariates = self.without(kind, controls, covariates, rows)
        return controls, covariates


def _table(levels: int, width: int) -> nn.Embedding:
    """A row for each level, and at last one for "unknown", which says nothing until it is learned."""
    table = nn.Embedding(levels + 1, width)
    nn.init.zeros_(table.weight[-1])
    return table


def _features(value: torch.Tensor) -> torch.Tensor:
    """value : (b,) of order one, to (b, feature): itself, its square, its Fourier features; last, whether it is known.

    All are 0 where it is NaN.
    """
    known = torch.isfinite(value)
    value = torch.where(known, value, 0.0)
    angles = value[:, None] * value.new_tensor(FREQUENCIES) * (2.0 * math.pi)
    parts = [value[:, None], value[:, None] ** 2, torch.sin(angles), torch.cos(angles)]
    found = torch.cat(parts, dim=1) * known[:, None]
    return torch.cat([found, known[:, None].to(found.dtype)], dim=1)
