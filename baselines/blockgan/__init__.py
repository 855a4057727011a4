"""BlockGAN (Nguyen-Phuoc et al., NeurIPS 2020): see `method`."""
