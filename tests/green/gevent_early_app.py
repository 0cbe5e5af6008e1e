"""Under gevent, patched before every other import, as gevent wants it."""

from gevent import monkey

monkey.patch_all()

from client_app import create, serve  # noqa: E402

app, socketio = create(async_mode="gevent")

if __name__ == "__main__":
    serve(app, socketio)
