"""Baselines: one file a method, each a `denf.harness.method.Method`, and the reported numbers."""
