"""DTI-Sprites (Monnier et al., ICCV 2021): see `method`."""
