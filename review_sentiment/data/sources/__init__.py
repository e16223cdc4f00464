"""The sources of reviews: the embedded data set, local files, the Hugging Face Hub, a web server."""
