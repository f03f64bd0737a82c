"""`python -m modelyard` is `modelyard`."""

from modelyard.cli.app import main
from modelyard.machine.quick_exit import leave


def run() -> None:
    """The command of the shell."""
    try:
        main()
    except SystemExit as ended:
        leave(ended.code if isinstance(ended.code, int) else 1)


if __name__ == "__main__":
    run()
