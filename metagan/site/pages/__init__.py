"""What pages show, and their HTML. No torch here."""
