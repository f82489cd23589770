"""The operator's commands, the same from ``admitgate``, ``manage.py admitgate`` and ``flask admitgate``."""
