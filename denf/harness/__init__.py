"""The Method contract, experiments, the training loop, checkpoints, provenance, GPU lease."""
