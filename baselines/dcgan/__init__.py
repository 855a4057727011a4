"""DCGAN (Radford et al., ICLR 2016): see `method`."""
