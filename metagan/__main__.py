"""`python -m metagan`."""

from metagan.cli import main

if __name__ == "__main__":
    main()
