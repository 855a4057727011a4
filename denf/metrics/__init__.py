"""Metrics: segmentation agreement (ARI) and image distribution distance (Fréchet)."""
