"""An application for mypy."""
