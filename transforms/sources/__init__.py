"""Where messages come from: files, folders, archives, standard input."""
