"""Metrics: segmentation (ARI), boxes, objects, backgrounds (PSNR), sets of images (Fréchet)."""
