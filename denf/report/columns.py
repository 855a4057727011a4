"""Further columns beside the main number in the tables for people, with their explanations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from denf.report.records import Metric


@dataclass(frozen=True)
class SideColumn:
    """A column of a further metric.

    Args:
        metric: the metric shown.
        head: title of the column.
        legend: a sentence of the caption that explains the column.
    """

    metric: Metric
    head: str
    legend: str


SIDE_COLUMNS: Mapping[Metric, tuple[SideColumn, ...]] = {
    Metric.ARI_FG: (
        SideColumn(
            Metric.ARI_FG_STRICT,
            "ARI-FG strict",
            "The main number scores objects only; strict counts a predicted background as one more "
            "cluster.",
        ),
        SideColumn(Metric.ARI, "ARI", "ARI is over all pixels."),
        SideColumn(
            Metric.ARI_FG_TOUCHING,
            "Touching",
            "Touching is the main number over the scenes in which two objects come within 2 pixels "
            "of each other.",
        ),
        SideColumn(
            Metric.BOX_IOU,
            "Box IoU",
            "Box IoU is the overlap of predicted boxes with the visible extents of their objects, "
            "× 100.",
        ),
        SideColumn(
            Metric.COUNT_RIGHT,
            "Right number",
            "Right number is the percentage of scenes in which the predicted number of objects is "
            "the true one.",
        ),
        SideColumn(
            Metric.BACKGROUND_PSNR_OBJECTS,
            "PSNR under objects",
            "PSNR under objects compares the generated background with the scene rendered without "
            "objects, over the pixels of objects, in dB.",
        ),
    ),
    Metric.FID: (
        SideColumn(
            Metric.KID,
            "KID",
            "KID is the kernel distance, which does not depend on the number of samples.",
        ),
        SideColumn(
            Metric.PRECISION,
            "Precision",
            "Precision is the fraction of samples among the real images.",
        ),
        SideColumn(
            Metric.RECALL, "Recall", "Recall is the fraction of real images among the samples."
        ),
    ),
}
