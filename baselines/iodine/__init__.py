"""IODINE (Greff et al., ICML 2019): see `method`."""
