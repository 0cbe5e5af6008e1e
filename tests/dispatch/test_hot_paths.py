"""What keeps the paths quick that every message takes."""

from __future__ import annotations

from flask_mqtt import Client, Mqtt

#: CPython keeps so many attributes of an instance in places that its interpreter remembers. Those
#: of an instance with more are looked up by a hash, again and again.
MOST_ATTRIBUTES = 30


def test_attributes_that_a_message_needs_are_found_without_a_hash() -> None:
    client = Client()
    dispatcher = client._parts.dispatcher
    for instance in (client, dispatcher, dispatcher._batch, dispatcher.message_handlers):
        assert len(vars(instance)) <= MOST_ATTRIBUTES, sorted(vars(instance))


def test_nothing_is_called_for_a_look_at_an_attribute_of_the_extension() -> None:
    # With one of these the interpreter remembers no place for any attribute.
    for name in ("__getattr__", "__getattribute__"):
        assert getattr(Mqtt, name, None) is getattr(object, name, None)
