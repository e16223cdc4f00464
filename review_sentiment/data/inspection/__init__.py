"""What a table of reviews contains: its columns, what each could be used for, and what is wrong with it."""
