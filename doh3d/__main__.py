"""Run the command line as ``python -m doh3d``."""

from doh3d.cli import main

if __name__ == "__main__":
    main()
