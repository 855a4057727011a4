"""A user's own pictures: reading, decomposing by a trained run, drawing and writing."""
