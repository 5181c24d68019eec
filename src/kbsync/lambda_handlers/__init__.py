"""Lambda entry points: each translates its event, calls the pipeline, and reports."""
