"""ObSuRF in two dimensions (Stelzner et al., arXiv:2104.01148): see `method`."""
