"""A dashboard for sensors: it stores what they measure, and shows it on a page.

    cd examples/dashboard
    flask --app dashboard run

docs/tutorial.md builds it step by step. Every MQTT_* key can be set in the environment.
"""

from __future__ import annotations

import os
from typing import Any

import pages
from flask import Flask
from models import db
from sensors import mqtt


def create_app(**config: Any) -> Flask:
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///dashboard.db"
    app.config["MQTT_BROKER_URL"] = "localhost"
    app.config["MQTT_CLIENT_ID"] = "dashboard"
    app.config["MQTT_CLEAN_SESSION"] = False
    app.config["MQTT_JSON"] = True
    app.config.update({key: os.environ[key] for key in os.environ if key.startswith("MQTT_")})
    app.config.update(config)
    db.init_app(app)
    with app.app_context():
        db.create_all()
    app.register_blueprint(pages.blueprint)
    mqtt.init_app(app)
    return app
