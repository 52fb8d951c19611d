"""World models: learned from batches, one file a family."""
