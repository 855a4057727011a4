"""Pieces that several baselines share; each names the paper it comes from."""
