"""Picture files: encoded, labelled as machine-made, laid out on sheets."""
