"""Where the original and its paho are: in an environment of their own, which ./scripts/test makes.

Another interpreter that has them can be named in FLASK_MQTT_ORIGINAL_PYTHON.
"""

from __future__ import annotations

import os
from pathlib import Path

ORIGINAL = Path(
    os.environ.get("FLASK_MQTT_ORIGINAL_PYTHON")
    or Path(__file__).parent.parent.parent / ".venv-original" / "bin" / "python"
)
