"""Final delivery: what becomes of a message whose recipients are known."""
