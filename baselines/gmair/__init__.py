"""GMAIR (Zhu et al., 2021): see `method`."""
