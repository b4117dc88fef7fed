"""`python -m pareft` is the console script."""

from pareft.cli import main

if __name__ == "__main__":
    main()
