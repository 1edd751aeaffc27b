"""Typed verbs over the message store of `ironpost._core`."""
