"""Pages of the web: fetched with care for the network we stand in and for those who serve them, and read."""
