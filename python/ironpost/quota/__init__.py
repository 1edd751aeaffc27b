"""Quotas: what accounts and domains may hold, whether there is room, and who is warned (docs/quotas.md)."""

from .bounds import Bounds, Home, Reached, Room
from .service import Quotas

__all__ = ["Bounds", "Home", "Quotas", "Reached", "Room"]
