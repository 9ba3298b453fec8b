from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# Powertools reads it when it is imported.
os.environ["POWERTOOLS_SERVICE_NAME"] = "ecr-cleanup"

# How fast an example runs says nothing here; a busy machine must not fail a test.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("default")
