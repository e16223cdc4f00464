"""What a person sees on the console."""
