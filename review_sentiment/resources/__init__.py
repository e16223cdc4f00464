"""What a device has, and what a training needs."""
