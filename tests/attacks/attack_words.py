"""What the shop under attack and its attackers both know."""

from __future__ import annotations

KEY = "Vn3zq8Wm2Lr7Tb5Xc9Jd4Hf6Gs1Kp0Ya-Qe5Ru8Io3"
OLD_KEY = "Zx2Cv6Bn9Ml4Kj7Hg1Fd5Sa8Qw3Er0Ty-Ui6Op2As9"

MOUNTED_AT = "/elsewhere/checkout"
ORDINARY_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
FRAMEWORKS = ("plain WSGI", "Flask", "Django")
SERVERS = ("gunicorn", "waitress", "uWSGI")
THE_DESK = "the desk"
IN_FLIGHT = 5  # requests of one visitor's, in each process
CAPACITIES = {"gunicorn": 1, "waitress": 2, "uWSGI": 3}  # of an event that workers disagree about
