"""Tokenizers: frames as codes of a finite set."""
