"""Any Gymnasium environment as a source of recordings: `episodes.record`."""
