"""World models that satisfy the Simulator protocol."""
