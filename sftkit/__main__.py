"""``python -m sftkit``, and what the ``sftkit`` command calls."""

from sftkit.cli.app import app


def main() -> None:
    """Run the command line."""
    app(prog_name="sftkit")


if __name__ == "__main__":
    main()
