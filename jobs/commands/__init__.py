"""The commands of the command line, a module for each group; thin: they parse, call and print."""
