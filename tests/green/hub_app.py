"""Under a hub: HUB is eventlet or gevent, MODE the server's mode.

PATCHED says when the standard library is patched: "early", before every other import, as both want
it; "late", after the imports, as in many applications; "after", when all is made; or "never".
"""

import os

HUB, PATCHED = os.environ["HUB"], os.environ["PATCHED"]


def patch(when: str) -> None:
    """Patch, if this is the time for it."""
    if when != PATCHED:
        return
    if HUB == "eventlet":
        import eventlet

        eventlet.monkey_patch()
    else:
        from gevent import monkey

        monkey.patch_all()


patch("early")

from client_app import create, serve  # noqa: E402

patch("late")

app, socketio = create(async_mode=os.environ["MODE"])

patch("after")

if __name__ == "__main__":
    options = {"allow_unsafe_werkzeug": True} if os.environ["MODE"] == "threading" else {}
    serve(app, socketio, **options)
