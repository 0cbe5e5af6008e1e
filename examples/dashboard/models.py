"""What the dashboard keeps in its database."""

from __future__ import annotations

from datetime import datetime, timezone

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


db = SQLAlchemy(model_class=Base)


class Measurement(Base):
    __tablename__ = "measurement"

    id: Mapped[int] = mapped_column(primary_key=True)
    room: Mapped[str] = mapped_column(index=True)
    sensor: Mapped[int]
    celsius: Mapped[float]
    at: Mapped[datetime] = mapped_column(default=lambda: datetime.now(timezone.utc))


def all_sensors() -> list[tuple[str, int]]:
    columns = Measurement.room, Measurement.sensor
    rows = db.session.execute(db.select(*columns).distinct().order_by(*columns))
    return [(room, sensor) for room, sensor in rows]


def latest(room: str, sensor: int, count: int = 60) -> list[Measurement]:
    """Return what a sensor has measured last, the oldest first."""
    query = db.select(Measurement).filter_by(room=room, sensor=sensor)
    newest_first = query.order_by(Measurement.id.desc()).limit(count)
    return list(db.session.scalars(newest_first))[::-1]
