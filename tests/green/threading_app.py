"""With plain threads."""

from client_app import create, serve

app, socketio = create(async_mode="threading")

if __name__ == "__main__":
    serve(app, socketio, allow_unsafe_werkzeug=True)
