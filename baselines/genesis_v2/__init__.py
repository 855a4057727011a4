"""GENESIS-V2 (Engelcke et al., NeurIPS 2021): see `method`."""
