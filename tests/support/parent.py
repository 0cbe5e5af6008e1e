"""A script whose extension is connected, and what runs a function of it in a forked child."""

from __future__ import annotations

#: A parent that is connected, with a will and a session, and what runs a function in a child.
PARENT = """
    import logging, signal, traceback, warnings
    warnings.simplefilter("ignore", DeprecationWarning)

    class Records(logging.Handler):
        def __init__(self):
            super().__init__(logging.WARNING)
            self.texts = []
        def emit(self, record):
            self.texts.append(record.getMessage())

    records = Records()
    logging.getLogger("flask_mqtt").addHandler(records)

    def threads():
        ours = {each.name for each in threading.enumerate() if each.name.startswith("mqtt-")}
        # It comes with a session.
        return sorted(ours - {"mqtt-adoption"})

    def in_child(steps, ends=os._exit):
        child = os.fork()
        if child == 0:
            signal.alarm(30)
            status = 1
            try:
                steps()
                status = 0
            except BaseException:
                traceback.print_exc()
            ends(status)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    app.config.update(
        MQTT_CLIENT_ID="site", MQTT_CLEAN_SESSION=False, MQTT_LAST_WILL_TOPIC="gone",
        MQTT_RECONNECT_DELAY_MIN=0.1,
    )
    called = []
    mqtt = Mqtt()
    mqtt.on_connect()(lambda *_: called.append("on_connect"))
    mqtt.on_disconnect()(lambda *_: called.append("on_disconnect"))
    mqtt.on_message()(lambda client, userdata, message: called.append(message.payload.decode()))
"""

CONNECTED = f"""{PARENT}
    mqtt.init_app(app)
    until(lambda: mqtt.connected and called == ["on_connect"])
    called.clear()
"""
