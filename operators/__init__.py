"""Our own ZenML step operators: where a step runs, and how it resumes if it is killed."""
