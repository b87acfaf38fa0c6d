"""What one does with a trained generator: find pictures in it, film it, rank its pictures, and more."""
