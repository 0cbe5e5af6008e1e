"""Payloads as values of an annotated type, from JSON and to JSON."""

from .decoding import Decoder, decoder_for
from .errors import InvalidPayload, one_line
from .shapes import bare

__all__ = ["Decoder", "InvalidPayload", "bare", "decoder_for", "one_line"]
