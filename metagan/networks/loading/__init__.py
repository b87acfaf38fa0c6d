"""Which network a checkpoint holds, and how it is built."""
