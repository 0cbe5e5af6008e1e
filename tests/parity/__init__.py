"""Scenarios that run against the original Flask-MQTT and against this package."""
