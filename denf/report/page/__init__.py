"""The results page: one HTML file, without network, made from the records of the runs."""
