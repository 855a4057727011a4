"""Embedded scenes: two kinds of three-dimensional scenes, ray cast here, with exact masks."""
