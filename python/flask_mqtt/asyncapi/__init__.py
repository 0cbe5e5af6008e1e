"""AsyncAPI 3.0: a document of what an application receives and sends."""

from .document import document

__all__ = ["document"]
