"""What each kind of mail says: a module for releases and what follows them, for digests, and for single people."""
