"""What a surrogate was trained near, and how far from that other frames and controls are."""
