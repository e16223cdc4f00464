"""QLoRA, from chats to a proved adapter."""
