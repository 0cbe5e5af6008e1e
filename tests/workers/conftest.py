"""Fixtures for tests with several workers."""

from __future__ import annotations

from support.workers import slots_folder, workers

__all__ = ["slots_folder", "workers"]
