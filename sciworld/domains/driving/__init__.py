"""Drives: road video with steering, throttle and what a car measures of itself."""
