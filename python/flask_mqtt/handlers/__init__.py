"""Handlers: their slots, types and arguments, how they are called, and what is around a call."""
