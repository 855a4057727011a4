"""Slot Attention (Locatello et al., NeurIPS 2020): see `method`."""
