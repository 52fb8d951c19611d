"""Files in many formats become recordings in a store."""
