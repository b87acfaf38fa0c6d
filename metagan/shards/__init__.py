"""Pictures by the million: shards of them on any storage, drawn here or on a Ray cluster."""
