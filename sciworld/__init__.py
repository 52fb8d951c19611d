"""Learn a simulator from video and its control inputs, search the controls against it, prove that they work."""

__version__ = "0.1.0"
