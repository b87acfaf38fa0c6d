"""How near generated pictures come to real ones, measured offline."""
