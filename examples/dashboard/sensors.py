"""What sensors send to the dashboard, and what it sends to them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

from models import Measurement, db

from flask_mqtt import Client, Mqtt, MQTTMessage, Retry

mqtt = Mqtt()


@dataclass
class Reading:
    celsius: float


@mqtt.topic("sensors/<room>/<int:sensor>/reading", qos=1, dead_letter="errors/{topic}")
def save(client: Client, message: MQTTMessage, room: str, sensor: int, reading: Reading) -> None:
    db.session.add(Measurement(room=room, sensor=sensor, celsius=reading.celsius))
    db.session.commit()


@dataclass
class Record:
    room: str
    sensor: int
    celsius: float
    at: datetime


@mqtt.batch("history", qos=1, retry=Retry(times=3, backoff=1), dead_letter="errors/{topic}")
def save_history(client: Client, records: list[Record]) -> None:
    db.session.execute(db.insert(Measurement), [asdict(record) for record in records])
    db.session.commit()
