"""What people run: the command line, batch builds, search and maintenance."""
