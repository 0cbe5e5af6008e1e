"""Under gevent, patched after the imports."""

from client_app import create, serve
from gevent import monkey

monkey.patch_all()

app, socketio = create(async_mode="gevent")

if __name__ == "__main__":
    serve(app, socketio)
