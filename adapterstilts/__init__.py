"""AdapterSTILTs: modular cross-lingual transfer with intermediate-task adapters on a frozen encoder."""

from __future__ import annotations

__version__ = "0.1.0"

__all__ = ["__version__"]
