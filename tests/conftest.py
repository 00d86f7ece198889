"""What holds for every test."""

from hypothesis import HealthCheck, settings

# No test is about time: what takes long on a loaded machine is no finding. `scripts/bench` measures.
settings.register_profile("crishim", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("crishim")
