"""Embedded scenes: two kinds of three-dimensional scenes, ray cast by the suite, exact masks."""
