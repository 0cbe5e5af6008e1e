"""Under eventlet, patched before every other import, as eventlet wants it."""

import eventlet

eventlet.monkey_patch()

from client_app import create, serve  # noqa: E402

app, socketio = create(async_mode="eventlet")

if __name__ == "__main__":
    serve(app, socketio)
