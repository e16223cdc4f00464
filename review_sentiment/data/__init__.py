"""From the raw records of a source to chats."""
