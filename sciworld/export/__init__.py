"""Recordings become files that other programs read."""
