"""gunicorn --config gunicorn.conf.py shop:app"""

import os

bind = os.environ.get("BIND", "127.0.0.1:8000")
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
worker_class = "gthread"
threads = 8
# Seconds for requests and handlers that run at SIGTERM, and after kill -HUP.
graceful_timeout = 30
accesslog = "-"
# gunicorn 25.1 and later would make a socket in the home folder, which a service may not have.
control_socket_disable = True
