"""From a source's raw records to chats."""
