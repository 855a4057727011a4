"""Settings of objects: components of presence, composites, and instances from present cells."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Lt

from denf.settings import Count, Fraction, NonNegative, Positive, Settings


class Components(Settings):
    """When a connected component of the presence map counts as one object."""

    least_cells: Count = 4
    """Fewest cells of an object."""
    least_area: Fraction = 0.003
    """Smallest area of an object, fraction of all cells."""
    longest_side: Positive = 0.4
    """Longest side of an object's box, stray cells included, fraction of the image side: mean and
    two standard deviations of the size prior."""
    solidity: Fraction = 0.9
    """Least fraction of the component's convex hull, a polygon of 16 sides, that its cells fill;
    objects that touch leave a notch."""
    solidity_left: Fraction = 0.8
    """The same for left-over cells, which erosion has given to no part, mostly of objects that
    others hide in part: their visible part is not convex. Without effect where `erosion` is 0."""
    erosion: Fraction = 0.15
    """Largest erosion that separates components that do not count as one object, fraction of the
    image side; 0: none. On CLEVR scenes at 64 × 64 cells, the components of presence give a box to
    51 % of the objects, and to 92 % with erosion and left-over cells."""
    stray: Annotated[float, Ge(0), Lt(0.5)] = 0.02
    """Largest fraction of a component's cells beyond each side of its box, so that single cells of
    a shadow do not enlarge it."""


class Composites(Settings):
    """Training images with components of other images of the batch laid over them.

    Goes beyond the paper (`denf-plus`).
    """

    probability: Fraction = 0.0
    """Probability that a training image becomes a composite; 0: none."""
    most: Count = 2
    """Largest number of components laid over one image; the smallest is 1."""
    beside: Fraction = 0.85
    """Probability that a component is laid beside or over one of the image, and not anywhere."""
    nearest: NonNegative = 0.5
    """Least distance of the two centres in summed half sizes; below 1 they touch."""
    farthest: NonNegative = 1.15
    """Largest distance of the two centres in summed half sizes."""


class Appearance(Settings):
    """Grouping of cells by boxes and colour together; goes beyond the paper."""

    weight: NonNegative = 0.6
    """Weight of a difference of colours, per unit of colour, against 1 − IoU of the boxes."""
    distance: Positive = 0.85
    """Mean distance from which two clusters are two objects."""


class Instances(Settings):
    """From present cells to instances (section 3.1.5)."""

    overlap: Fraction = 0.6
    """IoU above which non-maximum suppression drops a proposal for a better one."""
    merge: Fraction = 0.45
    """IoU above which two boxes, each the mean of its cells' proposals, belong to one object."""
    tolerance: NonNegative | None = 0.2
    """Groups of cells are united while the IoU of their boxes with the extent of their cells falls
    by less than this per cell of the smaller group, less the difference of their colours with
    `appearance` (`denf.model.extents`); null: never."""
    support: Fraction = 0.001
    """Least fraction of the image's cells that vote for a box that is kept."""
    appearance: Appearance | None = None
    """Clusters of boxes and colours in place of suppression, beyond the paper (`denf-plus`); null:
    suppression."""
