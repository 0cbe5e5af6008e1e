"""awscrt, AWS's client in C, which calls handlers from a thread of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from awscrt import io, mqtt

from peers.base import END, PATIENCE, Peer, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Awscrt(Peer):
    """A connection of MQTT 3.1.1."""

    def __init__(self, target: Target) -> None:
        """Make the connection."""
        super().__init__(target)
        if target.transport == "websockets":
            raise NotImplementedError
        tls, host = None, "127.0.0.1"
        if target.transport == "tls":
            options = io.TlsContextOptions()
            options.override_default_trust_store_from_path(None, target.certificate)
            tls, host = io.ClientTlsContext(options), "localhost"
        loops = io.EventLoopGroup(1)
        bootstrap = io.ClientBootstrap(loops, io.DefaultHostResolver(loops))
        self.client = mqtt.Connection(
            mqtt.Client(bootstrap, tls),
            host_name=host,
            port=target.port,
            client_id="bench-awscrt",
            disable_metrics=True,
        )

    def count(self, filters: Sequence[str]) -> None:
        """Use `on_message`."""
        if filters:
            raise NotImplementedError
        tick = self.tick

        def handle_message(topic: str, payload: bytes, **rest: object) -> None:
            tick()

        self.client.on_message(handle_message)

    def listen(self, call: Callable[[bytes], object]) -> None:
        """Use `on_message`."""

        def handle_message(topic: str, payload: bytes, **rest: object) -> None:
            call(payload)

        self.client.on_message(handle_message)

    def connect(self) -> None:
        """Use `connect`."""
        self.client.connect().result(PATIENCE)

    def subscribe(self, topic_filter: str, qos: int) -> None:
        """Use `subscribe`."""
        self.client.subscribe(topic_filter, mqtt.QoS(qos))[0].result(PATIENCE)

    def publish(self, topic: str, payload: bytes) -> None:
        """Use `publish`."""
        self.client.publish(topic, payload, mqtt.QoS.AT_MOST_ONCE)

    def send(self, topic: str, payload: bytes, qos: int, messages: int) -> None:
        """Use `publish`, which has no QoS 2."""
        if qos == 2:
            raise NotImplementedError
        publish: Any = self.client.publish
        level = mqtt.QoS(qos)
        for _ in range(messages):
            publish(topic, payload, level)

    def drain(self, qos: int) -> None:
        """Wait for the last message."""
        self.client.publish(END, b"", mqtt.QoS(max(qos, 1)))[0].result(PATIENCE)


PEER = Awscrt
