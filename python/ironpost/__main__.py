"""`python -m ironpost` is the `ironpost` command."""

from ironpost.cli.root import main

if __name__ == "__main__":
    main()
