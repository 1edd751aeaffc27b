"""Fakes and drivers for tests: shipped, typed, used by our tests and by users'."""
