"""The house: the rooms of one process put together as a running service, alone or among others."""
