"""Figures on arrays: strips of images, movies, maps, paths, curves, heat maps. What draws returns a plotly Figure."""

from sciworld.plots.films import Line, film
from sciworld.plots.heatmaps import heat
from sciworld.plots.images import MARKS, Extent, compare_maps, image_strip, path_on_image
from sciworld.plots.movies import movie
from sciworld.plots.series import curves
from sciworld.plots.style import COLOURS, DIVERGING, FONT, GAP, GREY, INK, QUIET, RULE, SEQUENTIAL, WIDTH
from sciworld.plots.thumbnails import LOST, ODD, SIDE, data_uri, indexed_uri, pictures, thumbnail

__all__ = [
    "COLOURS",
    "DIVERGING",
    "FONT",
    "GAP",
    "GREY",
    "INK",
    "LOST",
    "MARKS",
    "ODD",
    "QUIET",
    "RULE",
    "SEQUENTIAL",
    "SIDE",
    "WIDTH",
    "Extent",
    "Line",
    "compare_maps",
    "curves",
    "data_uri",
    "film",
    "heat",
    "image_strip",
    "indexed_uri",
    "movie",
    "path_on_image",
    "pictures",
    "thumbnail",
]
