"""``python -m rtlab`` is the same as ``rtlab``."""

from rtlab.cli import main

if __name__ == "__main__":
    main()
