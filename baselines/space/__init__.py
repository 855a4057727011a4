"""SPACE (Lin et al., ICLR 2020): see `method`."""
