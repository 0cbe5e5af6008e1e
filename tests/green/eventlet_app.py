"""Under eventlet, patched after the imports."""

import eventlet
from client_app import create, serve

eventlet.monkey_patch()

app, socketio = create()

if __name__ == "__main__":
    serve(app, socketio)
