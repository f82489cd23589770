"""``manage.py admitgate …``."""
