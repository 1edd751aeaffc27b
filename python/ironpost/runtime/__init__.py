"""What sessions stand on: streams, listeners, limits, hints, logs. Knows no protocol."""
