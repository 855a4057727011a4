"""A run at a glance: tables for a terminal, and its pictures on one sheet."""
