"""The checks of what every version of MQTT has, and of the ways to reach a broker."""

from __future__ import annotations

from .client import expect
from .site import Site, feature, refuses

MESSAGES = "Messages (MQTT 3.1.1 over TCP)"
WAYS = "Transports"
VERSIONS = "Protocol versions"


@feature("QoS 0, sent and received", MESSAGES)
def qos_0(site: Site) -> None:
    site.round_trip(0)


@feature("QoS 1, sent and received", MESSAGES)
def qos_1(site: Site) -> None:
    site.round_trip(1)


@feature("QoS 2, sent and received", MESSAGES)
def qos_2(site: Site) -> None:
    site.round_trip(2)


@feature("Retained message", MESSAGES)
def retained(site: Site) -> None:
    with site.client() as client:
        client.publish(site.topic, b"kept", 1, retain=True)
    with site.client() as client:
        client.subscribe(site.topic, 1)
        message = client.receive()
        expect((message.payload, message.retain), (b"kept", True), "message and its retain flag")
        client.publish(site.topic, b"", 1, retain=True)
    with site.client() as client:
        client.subscribe(f"{site.topic}/#", 1)
        client.publish(f"{site.topic}/marker", b"", 1)
        expect(client.receive().topic, f"{site.topic}/marker", "message after it was deleted")


@feature("Retained message, wildcard subscription", MESSAGES)
def retained_by_wildcard(site: Site) -> None:
    with site.client() as client:
        client.publish(f"{site.topic}/kept", b"kept", 1, retain=True)
    with site.client() as client:
        client.subscribe(f"{site.topic}/#", 1)
        expect(client.receive().payload, b"kept", "payload")
        client.publish(f"{site.topic}/kept", b"", 1, retain=True)


@feature("Last will", MESSAGES)
def last_will(site: Site) -> None:
    with site.client() as witness:
        witness.subscribe(site.topic, 1)
        with site.cable() as cable:
            will = {"last_will_topic": site.topic, "last_will_message": "gone", "last_will_qos": 1}
            with site.client(broker_port=cable.port, **will):
                cable.cut()
                expect(witness.receive().payload, b"gone", "payload of the will")


@feature("Session that outlives the connection", MESSAGES)
def session(site: Site) -> None:
    me = {"client_id": site.client_id, "clean_session": False}
    with site.client(**me) as client:
        expect(client.connack.session_present, False, "session present at first")
        client.subscribe(site.topic, 1)
    with site.client() as other:
        other.publish(site.topic, b"meanwhile", 1)
    with site.client(**me) as client:
        expect(client.connack.session_present, True, "session present on return")
        expect(client.receive().payload, b"meanwhile", "payload")
    site.client(client_id=site.client_id).mqtt.close()


@feature("Wildcards + and #", MESSAGES)
def wildcards(site: Site) -> None:
    with site.client() as client:
        client.subscribe(f"{site.topic}/+/end")
        client.subscribe(f"{site.topic}/all/#")
        for topic in ("no/no/end", "a/end", "all/of/it", "none", "all/marker"):
            client.publish(f"{site.topic}/{topic}", b"")
        got: list[str] = []
        while not got or not got[-1].endswith("marker"):
            got.append(client.receive().topic.removeprefix(f"{site.topic}/"))
        expect(got, ["a/end", "all/of/it", "all/marker"], "topics received")


@feature("Shared subscriptions", MESSAGES)
def shared(site: Site) -> None:
    site.share(20)


@feature("Topic with a full stop", MESSAGES)
def full_stop(site: Site) -> None:
    topic = f"{site.topic}/v1.2"
    with site.client() as client:
        client.subscribe(f"{site.topic}/#", 1)
        client.publish(topic, b"", 1)
        expect(client.receive().topic, topic, "topic")


@feature("TLS", WAYS, via="tls")
def tls(site: Site) -> None:
    site.round_trip(1)
    other = str(site.broker.certificates.other_ca)
    refuses(lambda: site.client(tls_ca_certs=other), "connects although the CA is another")


@feature("TLS with a client certificate", WAYS, via="mutual")
def mutual_tls(site: Site) -> None:
    site.round_trip(1)
    without = {"tls_certfile": None, "tls_keyfile": None}
    refuses(lambda: site.client(**without), "connects without a certificate")


@feature("Websockets", WAYS, via="ws")
def websockets(site: Site) -> None:
    site.round_trip(1)


@feature("Websockets over TLS", WAYS, via="wss")
def wss(site: Site) -> None:
    site.round_trip(1)


@feature("Unix socket", WAYS, via="unix")
def unix_socket(site: Site) -> None:
    site.round_trip(1)


@feature("MQTT 3.1", VERSIONS, version=3)
def mqtt_31(site: Site) -> None:
    site.round_trip(1, client_id=site.client_id[:23])


@feature("MQTT 3.1.1", VERSIONS)
def mqtt_311(site: Site) -> None:
    site.round_trip(1)


@feature("MQTT 5", VERSIONS, version=5)
def mqtt_5(site: Site) -> None:
    site.round_trip(1)
