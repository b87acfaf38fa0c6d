"""Example collections that metagan draws itself: apes, bagels, hummingbirds."""
