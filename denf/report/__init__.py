"""The report room: tables and figures from the files of runs; it knows no model and no torch."""
