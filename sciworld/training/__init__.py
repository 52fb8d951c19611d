"""Weights are fitted, resumable and logged."""
