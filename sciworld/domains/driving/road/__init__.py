"""A trusted simulator of roads: places, traffic, a vehicle, and a camera in any light and weather."""
