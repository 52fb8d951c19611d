"""The main job, end to end, one file a domain."""
