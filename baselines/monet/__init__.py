"""MONet (Burgess et al., 2019): see `method`."""
