"""Tables and figures from the files of runs; free of models and of torch."""
