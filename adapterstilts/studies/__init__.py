"""What users ask for, from end to end: train, compose, evaluate."""
