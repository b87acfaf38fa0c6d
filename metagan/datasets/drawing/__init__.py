"""What the drawn collections share: sphere tracing, colour and texture, draws of traits."""
