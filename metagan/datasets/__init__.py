"""Training datasets: packing pictures of any kind, and reading them back one by one."""
