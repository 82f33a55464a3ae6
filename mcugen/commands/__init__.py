"""What each subcommand does, one file each; arguments are parsed in mcugen.cli."""
