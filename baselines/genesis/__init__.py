"""GENESIS (Engelcke et al., ICLR 2020): see `method`."""
