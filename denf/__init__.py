"""DeNF: scene decomposition with normalizing flows, and the suite that reproduces it."""

__version__ = "0.1.0"
