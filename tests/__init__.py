"""Ours: without this file a library that installs a package of the same name would be found in its place."""
