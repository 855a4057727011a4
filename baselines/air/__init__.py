"""AIR (Eslami et al., NeurIPS 2016): see `method`."""
