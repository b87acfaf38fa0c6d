"""Training pictures: packed from anything, read back one by one, and drawn by three example collections."""
