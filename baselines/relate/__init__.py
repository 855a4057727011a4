"""RELATE (Ehrhardt et al., NeurIPS 2020): see `method`."""
