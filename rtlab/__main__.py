"""``python -m rtlab`` is the same as ``rtlab``."""

import signal


def main() -> None:
    """Run the command line. Ctrl-C during the imports, when nothing has begun, ends the process without a traceback."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from rtlab.cli import main as command_line

    command_line()


if __name__ == "__main__":
    main()
