"""The kinds of place that a road runs through: its cross-section, its hills and what stands beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sciworld.kernels import road_layout as layout


@dataclass(frozen=True)
class Row:
    """Objects of one kind along both sides of the road.

    every : m between them. beyond : m from the edge of the road to their near side. length (along the road), width
    (across), height : m. Ranges are (least, most). share : of the places that are taken. sides : which ones.
    """

    kind: int
    every: float
    beyond: tuple[float, float]
    length: tuple[float, float]
    width: tuple[float, float]
    height: tuple[float, float]
    share: float = 1.0
    sides: tuple[int, ...] = (1, -1)


@dataclass(frozen=True)
class Place:
    """A kind of place.

    speed : m/s, what traffic drives; the sharpest bends are taken at 2.5 m/s^2. lanes : each way. lane_width, median
    (half of the strip between the ways), shoulder, pavement : m. rail : height in m of guard rails. relief : m, height
    of the hills. slope : the steepest. ground : two linear colours of the terrain. walkers : m of road for each
    pedestrian. rows : what stands beside the road.
    """

    speed: float
    lanes: int
    lane_width: float
    median: float
    shoulder: float
    pavement: float
    rail: float
    relief: float
    slope: float
    ground: tuple[tuple[float, float, float], tuple[float, float, float]]
    walkers: float
    rows: tuple[Row, ...]

    @property
    def section(self) -> tuple[float, ...]:
        """The first columns of the cross-section, see `sciworld.kernels.road_layout`."""
        spacing = max((row.every for row in self.rows if row.kind == layout.LAMP), default=0.0)
        return (self.lanes, self.lane_width, self.median, self.shoulder, self.pavement, self.rail, spacing)


def trees(kind: int, every: float, beyond: tuple[float, float], height: tuple[float, float], share: float) -> Row:
    """Trees, as wide as they are used to be for their height."""
    width = (0.55 * height[0], 0.7 * height[1]) if kind == layout.TREE else (0.35 * height[0], 0.4 * height[1])
    return Row(kind, every, beyond, width, width, height, share)


def lamps(every: float) -> Row:
    """Street lamps."""
    beyond, height = layout.LAMP_BEYOND, layout.LAMP_HEIGHT
    return Row(layout.LAMP, every, (beyond, beyond), (0.2, 0.2), (0.0, 0.0), (height, height))


def posts(every: float, height: float, beyond: float = 0.8, share: float = 1.0) -> Row:
    """Posts, or poles."""
    return Row(layout.POST, every, (beyond, beyond), (0.2, 0.2), (0.0, 0.0), (height, height), share)


def signs(every: float, height: float, size: float, beyond: float) -> Row:
    """Signs at the right side, for those who come."""
    return Row(layout.SIGN, every, (beyond, beyond), (size, size), (0.0, 0.0), (height, height), 0.7, (-1,))


GREEN = ((0.075, 0.125, 0.03), (0.13, 0.15, 0.045))
PLACES = {
    "city": Place(
        speed=13.0,
        lanes=2,
        lane_width=3.2,
        median=0.0,
        shoulder=0.3,
        pavement=3.5,
        rail=0.0,
        relief=0.0,
        slope=0.012,
        ground=((0.17, 0.17, 0.165), (0.11, 0.11, 0.105)),
        walkers=45.0,
        rows=(
            Row(layout.BUILDING, 19.0, (4.0, 6.5), (14.0, 18.5), (10.0, 14.0), (9.0, 30.0)),
            Row(layout.BUILDING, 26.0, (24.0, 40.0), (14.0, 24.0), (12.0, 20.0), (24.0, 60.0), 0.8),
            trees(layout.TREE, 17.0, (0.8, 1.2), (5.0, 7.5), 0.45),
            lamps(28.0),
            signs(70.0, 2.8, 0.7, 0.8),
        ),
    ),
    "suburb": Place(
        speed=13.0,
        lanes=1,
        lane_width=3.3,
        median=0.0,
        shoulder=0.3,
        pavement=1.8,
        rail=0.0,
        relief=4.0,
        slope=0.03,
        ground=GREEN,
        walkers=60.0,
        rows=(
            Row(layout.HOUSE, 24.0, (7.0, 12.0), (10.0, 15.0), (8.0, 10.0), (3.2, 5.8), 0.85),
            trees(layout.TREE, 15.0, (4.0, 7.0), (5.0, 9.0), 0.6),
            trees(layout.TREE, 18.0, (24.0, 40.0), (7.0, 12.0), 0.8),
            Row(layout.SHRUB, 5.0, (3.0, 3.5), (2.0, 3.0), (2.0, 3.4), (0.9, 1.4), 0.55),
            lamps(35.0),
            signs(90.0, 2.6, 0.7, 0.8),
        ),
    ),
    "forest": Place(
        speed=19.0,
        lanes=1,
        lane_width=3.2,
        median=0.0,
        shoulder=0.4,
        pavement=0.0,
        rail=0.0,
        relief=14.0,
        slope=0.05,
        ground=((0.055, 0.07, 0.022), (0.09, 0.075, 0.035)),
        walkers=0.0,
        rows=(
            trees(layout.CONIFER, 5.0, (3.5, 8.0), (9.0, 18.0), 0.75),
            trees(layout.TREE, 11.0, (4.0, 9.0), (8.0, 14.0), 0.55),
            trees(layout.CONIFER, 5.0, (9.0, 18.0), (12.0, 22.0), 0.8),
            trees(layout.CONIFER, 6.5, (18.0, 36.0), (14.0, 24.0), 0.85),
            Row(layout.SHRUB, 7.0, (2.5, 6.0), (1.5, 2.5), (1.5, 3.0), (0.6, 1.4), 0.5),
            posts(40.0, 1.0),
        ),
    ),
    "countryside": Place(
        speed=22.0,
        lanes=1,
        lane_width=3.3,
        median=0.0,
        shoulder=0.4,
        pavement=0.0,
        rail=0.0,
        relief=22.0,
        slope=0.045,
        ground=GREEN,
        walkers=0.0,
        rows=(
            trees(layout.TREE, 34.0, (2.5, 9.0), (6.0, 11.0), 0.45),
            trees(layout.TREE, 26.0, (45.0, 110.0), (7.0, 14.0), 0.6),
            trees(layout.CONIFER, 60.0, (20.0, 60.0), (8.0, 15.0), 0.4),
            Row(layout.HOUSE, 170.0, (25.0, 70.0), (12.0, 22.0), (9.0, 12.0), (3.5, 6.0), 0.7),
            posts(50.0, 1.0),
            posts(48.0, 7.5, 6.0),
            signs(240.0, 2.4, 0.9, 1.2),
        ),
    ),
    "highway": Place(
        speed=31.0,
        lanes=2,
        lane_width=3.6,
        median=1.8,
        shoulder=2.2,
        pavement=0.0,
        rail=0.85,
        relief=12.0,
        slope=0.025,
        ground=GREEN,
        walkers=0.0,
        rows=(
            trees(layout.TREE, 20.0, (14.0, 40.0), (6.0, 12.0), 0.6),
            trees(layout.CONIFER, 28.0, (20.0, 60.0), (8.0, 15.0), 0.5),
            Row(layout.SHRUB, 9.0, (2.5, 6.0), (2.0, 3.0), (2.0, 4.0), (0.8, 1.6), 0.5),
            Row(layout.BUILDING, 260.0, (50.0, 90.0), (30.0, 60.0), (20.0, 40.0), (7.0, 12.0), 0.6),
            signs(190.0, 5.5, 3.2, 1.6),
        ),
    ),
    "desert": Place(
        speed=26.0,
        lanes=1,
        lane_width=3.5,
        median=0.0,
        shoulder=0.6,
        pavement=0.0,
        rail=0.0,
        relief=40.0,
        slope=0.03,
        ground=((0.42, 0.27, 0.14), (0.34, 0.22, 0.12)),
        walkers=0.0,
        rows=(
            Row(layout.SHRUB, 9.0, (3.0, 22.0), (0.8, 1.6), (0.8, 2.0), (0.4, 1.0), 0.7),
            Row(layout.SHRUB, 7.0, (14.0, 60.0), (0.8, 1.6), (0.8, 2.2), (0.4, 1.1), 0.7),
            posts(60.0, 8.0, 9.0),
            posts(100.0, 1.0),
            signs(300.0, 2.4, 0.9, 1.2),
        ),
    ),
}
NAMES = layout.PLACES
GROUNDS = np.array([PLACES[name].ground for name in NAMES], dtype=np.float32)
