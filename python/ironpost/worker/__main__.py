"""`python -m ironpost.worker`: how the supervisor starts a worker. Nobody else should."""

from ironpost.worker.main import main

if __name__ == "__main__":
    main()
