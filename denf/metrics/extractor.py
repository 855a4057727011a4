"""Feature spaces of the Fréchet distance; free of torch."""

from __future__ import annotations

from enum import StrEnum


class Extractor(StrEnum):
    """Names of feature extractors in torch-fidelity."""

    INCEPTION = "inception-v3-compat"  # TensorFlow's weights, comparable with the literature
    RANDOM_CONV = "random-conv-v1"  # a fixed random network; comparable with itself alone

    @property
    def reads_weights(self) -> bool:
        """Whether its weights are in a file."""
        return self is Extractor.INCEPTION
