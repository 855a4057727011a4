"""The results page: one HTML file that needs no network, made from the records of the runs."""
