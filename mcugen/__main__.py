"""`python -m mcugen`."""

from mcugen.cli import main

if __name__ == "__main__":
    main(prog_name="mcugen")
