"""Preparing sources of images in one format, and reading that format."""
