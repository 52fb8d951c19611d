"""What each field wants done, as a contest: beginnings, controllers that compete, and their verdicts."""
