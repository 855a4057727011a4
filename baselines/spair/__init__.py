"""SPAIR (Crawford and Pineau, AAAI 2019): see `method`."""
