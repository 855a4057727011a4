"""DRAGAN (Kodali et al., arXiv:1705.07215): see `method`."""
