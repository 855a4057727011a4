"""Baselines, each a `denf.harness.method.Method` in a package of its own, and reported numbers."""
