"""Modules that several baselines share; each file names its paper."""
