"""``admitgate doctor``: from the settings and a look at every server to sentences with their cures."""
